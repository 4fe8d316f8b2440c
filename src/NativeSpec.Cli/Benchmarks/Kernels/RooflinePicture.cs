using System.Globalization;
using System.Net;
using System.Text;

namespace NativeSpec.Cli.Benchmarks.Kernels;

/// <summary>The roofline picture (Williams et al., 2009) as SVG: GFLOP/s over FLOP per byte, both logarithmic. Each backend has a colour, its roof is a line, and a point is an operation:
/// filled with warm caches, hollow with cold ones, larger with more nodes.</summary>
internal static class RooflinePicture
{
    private const int Width = 1120, Height = 700, Left = 80, Right = 330, Top = 60, Bottom = 70;
    private static readonly string[] Colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]; // told apart by the colour-blind too (Okabe and Ito)

    /// <summary>Draws.</summary>
    public static string Draw(KernelLab lab)
    {
        var points = lab.Backends.SelectMany((backend, i) => backend.Warm.Select(time => (Time: time, i, IsWarm: true)).Concat(backend.Cold.Select(time => (Time: time, i, IsWarm: false))))
            .Where(point => point.Time.Case.MultiplyAdds > 0).ToArray();
        var x = Axis.Of(points.Select(point => point.Time.Case.Intensity), Left, Width - Right);
        var y = Axis.Of(points.Select(point => point.Time.GFlopPerSecond).Concat(lab.Backends.Select(backend => backend.GFlopPerSecond?.Median).OfType<double>()), Height - Bottom, Top);
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{Width}\" height=\"{Height}\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"13\">\n");
        svg.Append(CultureInfo.InvariantCulture, $"<rect width=\"{Width}\" height=\"{Height}\" fill=\"white\"/>\n");
        Text(svg, Left, 26, $"{lab.Plan.ShapeName}: operations under their roofs", "font-size=\"17\" font-weight=\"bold\"");
        Text(svg, Left, 46, $"{lab.Environment.Processor}, {lab.Environment.Threads} threads; {lab.Environment.Runtime}; {lab.Environment.Commit}", "fill=\"#555\"");
        Grid(svg, x, y);
        svg.Append(CultureInfo.InvariantCulture, $"<clipPath id=\"area\"><rect x=\"{Left}\" y=\"{Top}\" width=\"{Width - Left - Right}\" height=\"{Height - Top - Bottom}\"/></clipPath>\n<g clip-path=\"url(#area)\">\n");
        for (var i = 0; i < lab.Backends.Count; i++)
        {
            Roof(svg, lab.Backends[i], Colours[i % Colours.Length], x, y);
        }

        foreach (var (time, i, isWarm) in points.OrderByDescending(point => point.Time.Case.Rows))
        {
            var radius = 3 + Math.Log2(time.Case.Rows);
            svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{x.At(time.Case.Intensity):0.#}\" cy=\"{y.At(time.GFlopPerSecond):0.#}\" r=\"{radius:0.#}\" stroke=\"{Colours[i % Colours.Length]}\" stroke-width=\"1.5\" ");
            svg.Append(CultureInfo.InvariantCulture, $"fill=\"{(isWarm ? Colours[i % Colours.Length] : "white")}\" fill-opacity=\"{(isWarm ? "0.55" : "0.8")}\"><title>");
            svg.Append(CultureInfo.InvariantCulture, $"{lab.Backends[i].Name}: {Escaped(time.Case.Name)}, {time.Case.Rows} nodes, {(isWarm ? "warm" : "cold")}: {time.GFlopPerSecond:0.0} GFLOP/s, {time.GBPerSecond:0.0} GB/s, {time.Fraction:0.00} of roof</title></circle>\n");
        }

        svg.Append("</g>\n");
        Legend(svg, lab);
        return svg.Append("</svg>\n").ToString();
    }

    private static void Grid(StringBuilder svg, Axis x, Axis y)
    {
        foreach (var value in x.Decades)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{x.At(value):0.#}\" y1=\"{Top}\" x2=\"{x.At(value):0.#}\" y2=\"{Height - Bottom}\" stroke=\"#ddd\"/>\n");
            Text(svg, x.At(value), Height - Bottom + 20, value.ToString("0.###", CultureInfo.InvariantCulture), "text-anchor=\"middle\"");
        }

        foreach (var value in y.Decades)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{Left}\" y1=\"{y.At(value):0.#}\" x2=\"{Width - Right}\" y2=\"{y.At(value):0.#}\" stroke=\"#ddd\"/>\n");
            Text(svg, Left - 8, y.At(value) + 4, value.ToString("0.###", CultureInfo.InvariantCulture), "text-anchor=\"end\"");
        }

        Text(svg, (Left + Width - Right) / 2.0, Height - 22, "FLOP per byte that must be moved", "text-anchor=\"middle\"");
        svg.Append(CultureInfo.InvariantCulture, $"<text transform=\"translate(24 {(Top + Height - Bottom) / 2}) rotate(-90)\" text-anchor=\"middle\">GFLOP/s</text>\n");
    }

    private static void Roof(StringBuilder svg, LabBackend backend, string colour, Axis x, Axis y)
    {
        var (read, peak) = (backend.ReadGBPerSecond.Median, backend.GFlopPerSecond?.Median ?? double.PositiveInfinity);
        var ridge = Math.Clamp(peak / read, x.Least, x.Most);
        svg.Append(CultureInfo.InvariantCulture, $"<polyline points=\"{x.At(x.Least):0.#},{y.At(x.Least * read):0.#} {x.At(ridge):0.#},{y.At(Math.Min(ridge * read, peak)):0.#} ");
        svg.Append(CultureInfo.InvariantCulture, $"{x.At(x.Most):0.#},{y.At(Math.Min(x.Most * read, peak)):0.#}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"6 3\"/>\n");
    }

    private static void Legend(StringBuilder svg, KernelLab lab)
    {
        const int At = Width - Right + 20;
        var line = Top + 14;
        for (var i = 0; i < lab.Backends.Count; i++, line += 46)
        {
            var backend = lab.Backends[i];
            svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{At}\" y=\"{line - 11}\" width=\"12\" height=\"12\" fill=\"{Colours[i % Colours.Length]}\"/>\n");
            Text(svg, At + 20, line, backend.Name, "font-weight=\"bold\"");
            var arithmetic = backend.GFlopPerSecond is { } peak ? string.Create(CultureInfo.InvariantCulture, $", {peak.Median:0} GFLOP/s") : "";
            Text(svg, At + 20, line + 17, string.Create(CultureInfo.InvariantCulture, $"roof: {backend.ReadGBPerSecond.Median:0.0} GB/s{arithmetic}"), "fill=\"#555\"");
        }

        foreach (var (name, _) in lab.Missing)
        {
            Text(svg, At + 20, line, $"{name}: not here", "fill=\"#999\"");
            line += 24;
        }

        Text(svg, At, line + 12, "filled: warm caches; hollow: cold", "fill=\"#555\"");
        Text(svg, At, line + 30, $"larger: more nodes ({string.Join(", ", lab.Plan.Nodes)})", "fill=\"#555\"");
        Text(svg, At, line + 48, "Point at a circle for its operation.", "fill=\"#555\"");
        Text(svg, At, line + 66, "embed and gather rows only move bytes", "fill=\"#555\"");
        Text(svg, At, line + 82, "and are not drawn.", "fill=\"#555\"");
    }

    private static void Text(StringBuilder svg, double x, double y, string text, string style)
        => svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{x:0.#}\" y=\"{y:0.#}\" {style}>{Escaped(text)}</text>\n");

    private static string Escaped(string text) => WebUtility.HtmlEncode(text);

    /// <summary>A logarithmic axis over whole decades.</summary>
    private readonly record struct Axis(double Least, double Most, double From, double To)
    {
        public IEnumerable<double> Decades
        {
            get
            {
                var first = (int)Math.Round(Math.Log10(Least));
                return Enumerable.Range(first, (int)Math.Round(Math.Log10(Most)) - first + 1).Select(power => Math.Pow(10, power));
            }
        }

        public static Axis Of(IEnumerable<double> values, double from, double to)
        {
            var all = values.Where(value => double.IsFinite(value) && value > 0).DefaultIfEmpty(1).ToArray();
            var (least, most) = (Math.Floor(Math.Log10(all.Min())), Math.Ceiling(Math.Log10(all.Max())));
            return new(Math.Pow(10, least), Math.Pow(10, Math.Max(most, least + 1)), from, to);
        }

        public double At(double value) => From + ((To - From) * (Math.Log10(value) - Math.Log10(Least)) / (Math.Log10(Most) - Math.Log10(Least)));
    }
}
