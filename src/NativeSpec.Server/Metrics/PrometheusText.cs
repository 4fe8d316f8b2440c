using System.Globalization;
using System.Text;

namespace NativeSpec.Server.Metrics;

/// <summary>Prometheus' text format, version 0.0.4.</summary>
internal static class PrometheusText
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    public static string Of(IReadOnlyList<MetricFamily> families)
    {
        var text = new StringBuilder();
        foreach (var family in families)
        {
            Head(text, family.Name, family.Help, family.IsHistogram ? "histogram" : family.IsCounter ? "counter" : "gauge");
            foreach (var series in family.Series)
            {
                if (family.IsHistogram)
                {
                    Histogram(text, family, series);
                }
                else
                {
                    Line(text, family.Name, series.Tags, series.Value);
                }
            }
        }

        ServiceGauges.Write(text, families);
        return text.ToString();
    }

    /// <summary>What stands before a metric's lines.</summary>
    public static void Head(StringBuilder text, string name, string help, string type)
        => text.Append("# HELP ").Append(name).Append(' ').Append(help.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal)).Append('\n')
            .Append("# TYPE ").Append(name).Append(' ').Append(type).Append('\n');

    /// <summary>A metric's line.</summary>
    public static void Line(StringBuilder text, string name, IReadOnlyList<KeyValuePair<string, object?>> tags, double value, (string Name, string Value)? bound = null)
    {
        text.Append(name);
        var separator = '{';
        foreach (var (key, tag) in tags)
        {
            Label(text, separator, key.Replace('.', '_'), Convert.ToString(tag, CultureInfo.InvariantCulture) ?? "");
            separator = ',';
        }

        if (bound is { } last)
        {
            Label(text, separator, last.Name, last.Value);
            separator = ',';
        }

        text.Append(separator == '{' ? "" : "}").Append(' ').Append(value.ToString("R", CultureInfo.InvariantCulture)).Append('\n');
    }

    private static void Histogram(StringBuilder text, MetricFamily family, MetricSeries series)
    {
        var below = 0L;
        for (var i = 0; i < series.Buckets.Count; i++)
        {
            below += series.Buckets[i];
            var bound = i < family.Boundaries.Count ? family.Boundaries[i].ToString("R", CultureInfo.InvariantCulture) : "+Inf";
            Line(text, family.Name + "_bucket", series.Tags, below, ("le", bound));
        }

        Line(text, family.Name + "_sum", series.Tags, series.Value);
        Line(text, family.Name + "_count", series.Tags, series.Count);
    }

    private static void Label(StringBuilder text, char separator, string name, string value)
        => text.Append(separator).Append(name).Append("=\"")
            .Append(value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal)).Append('"');
}
