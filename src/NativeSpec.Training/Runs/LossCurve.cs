using System.Globalization;
using System.Text;
using System.Text.Json;

namespace NativeSpec.Training.Runs;

/// <summary>A point of a loss curve.</summary>
/// <param name="Step">The step.</param>
/// <param name="Loss">Loss of its batch.</param>
/// <param name="HeldOut">The held-out loss after it, where it was measured.</param>
internal readonly record struct LossPoint(long Step, double Loss, double? HeldOut);

/// <summary>The losses of a run, step by step.</summary>
internal sealed class LossCurve
{
    private const int Smoothed = 20; // steps that the printed training loss is the mean of

    private readonly List<LossPoint> _points = [];

    /// <summary>In order.</summary>
    public IReadOnlyList<LossPoint> Points => _points;

    /// <summary>The last held-out loss.</summary>
    public double? LastHeldOut => _points.FindLast(point => point.HeldOut is not null).HeldOut;

    /// <summary>The lowest held-out loss.</summary>
    public double? BestHeldOut => _points.Min(point => point.HeldOut);

    /// <summary>Measurements of the held-out loss after the best one.</summary>
    public int MeasuredSinceBest
    {
        get
        {
            var measured = _points.Where(point => point.HeldOut is not null).Select(point => point.HeldOut!.Value).ToList();
            return measured.Count == 0 ? 0 : measured.Count - 1 - measured.IndexOf(measured.Min());
        }
    }

    /// <summary>The mean of the last training losses.</summary>
    public double Recent => _points.Count == 0 ? double.NaN : _points.TakeLast(Smoothed).Average(point => point.Loss);

    public void Add(LossPoint point) => _points.Add(point);

    /// <summary>Writes the points as an array of arrays; read back, the numbers have the same bits.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartArray("curve");
        foreach (var point in _points)
        {
            json.WriteStartArray();
            json.WriteNumberValue(point.Step);
            json.WriteNumberValue(point.Loss);
            if (point.HeldOut is { } heldOut)
            {
                json.WriteNumberValue(heldOut);
            }

            json.WriteEndArray();
        }

        json.WriteEndArray();
    }

    public static LossCurve Read(JsonElement array)
    {
        var curve = new LossCurve();
        foreach (var point in array.EnumerateArray())
        {
            curve.Add(new LossPoint(point[0].GetInt64(), point[1].GetDouble(), point.GetArrayLength() > 2 ? point[2].GetDouble() : null));
        }

        return curve;
    }

    /// <summary>A line per step: <c>step,loss,heldout</c>.</summary>
    public string ToCsv()
    {
        var text = new StringBuilder("step,loss,heldout\n");
        foreach (var (step, loss, heldOut) in _points)
        {
            text.Append(CultureInfo.InvariantCulture, $"{step},{loss:0.####},{heldOut:0.####}\n");
        }

        return text.ToString();
    }

    /// <summary>A picture: the training loss as a line, smoothed, and the held-out loss as points on a line.</summary>
    public string ToSvg(string title)
    {
        const int Width = 720, Height = 400, Left = 56, Right = 16, Top = 44, Bottom = 40;
        var last = Math.Max(1, _points.Count == 0 ? 1 : _points[^1].Step);
        var smooth = _points.Select((point, i) => (point.Step, Loss: _points[Math.Max(0, i - Smoothed + 1)..(i + 1)].Average(p => p.Loss))).ToList();
        var heldOut = _points.Where(point => point.HeldOut is not null).Select(point => (point.Step, Loss: point.HeldOut!.Value)).ToList();
        var all = smooth.Concat(heldOut).Select(point => point.Loss).DefaultIfEmpty(1).ToList();
        double low = Math.Floor(all.Min() * 2) / 2, high = Math.Max(low + 0.5, Math.Ceiling(all.Max() * 2) / 2);
        string X(long step) => Number(Left + ((double)step / last * (Width - Left - Right)));
        string Y(double loss) => Number(Top + ((high - loss) / (high - low) * (Height - Top - Bottom)));
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{Width}\" height=\"{Height}\" ");
        svg.Append(CultureInfo.InvariantCulture, $"viewBox=\"0 0 {Width} {Height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n");
        svg.Append("<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left}\" y=\"24\" font-size=\"15\" font-weight=\"600\" fill=\"#1f2933\">{title}</text>\n");
        for (var line = 0; line <= 5; line++)
        {
            var (loss, step) = (low + ((high - low) * line / 5), last * line / 5);
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{Y(loss)}\" y2=\"{Y(loss)}\" stroke=\"#e4e7eb\"/>");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left - 6}\" y=\"{Y(loss)}\" text-anchor=\"end\" ");
            svg.Append(CultureInfo.InvariantCulture, $"dominant-baseline=\"middle\" fill=\"#52606d\">{loss:0.0}</text>\n");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(step)}\" y=\"{Height - 16}\" text-anchor=\"middle\" fill=\"#52606d\">{step}</text>\n");
        }

        AppendLine(svg, "#7b8794", smooth.Select(point => $"{X(point.Step)},{Y(point.Loss)}"));
        AppendLine(svg, "#d64545", heldOut.Select(point => $"{X(point.Step)},{Y(point.Loss)}"));
        foreach (var (step, loss) in heldOut)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(step)}\" cy=\"{Y(loss)}\" r=\"2.5\" fill=\"#d64545\"/>\n");
        }

        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width - Right}\" y=\"24\" text-anchor=\"end\" fill=\"#52606d\">nats per token over steps: ");
        svg.Append("<tspan fill=\"#7b8794\">training</tspan>, <tspan fill=\"#d64545\">held out</tspan></text>\n");
        return svg.Append("</svg>\n").ToString();
    }

    private static void AppendLine(StringBuilder svg, string colour, IEnumerable<string> points)
        => svg.Append(CultureInfo.InvariantCulture, $"<polyline fill=\"none\" stroke=\"{colour}\" points=\"{string.Join(' ', points)}\"/>\n");

    private static string Number(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}
