using System.Globalization;
using System.Text;
using System.Xml;

namespace NativeSpec.Cli.Benchmarks.Load;

/// <summary>One part of a picture: bars in groups.</summary>
/// <param name="Title">What is shown, with its unit.</param>
/// <param name="Groups">Labels below the groups.</param>
/// <param name="Series">Names of the bars of a group, and their values, one for each group; NaN draws none.</param>
internal sealed record LoadPanel(string Title, IReadOnlyList<string> Groups, IReadOnlyList<(string Name, double[] Values)> Series)
{
    /// <summary>Median and 99th percentile, side by side.</summary>
    public static IReadOnlyList<(string Name, double[] Values)> Both(params Percentiles[] groups)
        => [("p50", [.. groups.Select(group => group.P50)]), ("p99", [.. groups.Select(group => group.P99)])];
}

/// <summary>Measurements as a picture: panels one below the other, each with bars from zero, their values above them, and its own scale: linear, or
/// logarithmic where the largest value is more than fifty times the smallest.</summary>
internal static class LoadSvg
{
    private const double Margin = 24, TitleHeight = 52, PanelHeight = 230, PlotTop = 52, PlotHeight = 130, BarWidth = 38, LeastGroup = 150, GroupGap = 26;
    private static readonly string[] Colours = ["#0b3d91", "#8fb0de", "#b1560f", "#f0b27a"];

    /// <summary>Draws the panels.</summary>
    /// <returns>A whole SVG document.</returns>
    public static string Render(string title, IReadOnlyList<LoadPanel> panels)
    {
        var width = Math.Max(panels.Max(panel => panel.Groups.Count * GroupWidth(panel)) + (2 * Margin) + GroupGap, 560);
        var height = TitleHeight + (PanelHeight * panels.Count) + Margin;
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:0}\" height=\"{height:0}\" viewBox=\"0 0 {width:0} {height:0}\" font-family=\"system-ui, sans-serif\">\n");
        svg.Append("<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
        AppendText(svg, Margin, 34, 16, "start", title, "font-weight=\"600\"");
        for (var i = 0; i < panels.Count; i++)
        {
            AppendPanel(svg, panels[i], TitleHeight + (i * PanelHeight), width);
        }

        return svg.Append("</svg>\n").ToString();
    }

    private static double GroupWidth(LoadPanel panel) => Math.Max(panel.Series.Count * BarWidth, panel.Groups.Any(name => name.Length > 6) ? LeastGroup : 0) + GroupGap;

    private static void AppendPanel(StringBuilder svg, LoadPanel panel, double top, double width)
    {
        AppendText(svg, Margin, top + 18, 13, "start", panel.Title, "font-weight=\"600\"");
        var x = Margin;
        for (var i = 0; i < panel.Series.Count && panel.Series.Count > 1; i++)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{x:0.#}\" y=\"{top + 26:0.#}\" width=\"10\" height=\"10\" fill=\"{Colours[i % Colours.Length]}\"/>\n");
            AppendText(svg, x + 14, top + 35, 11, "start", panel.Series[i].Name);
            x += 26 + (7 * panel.Series[i].Name.Length);
        }

        double[] values = [.. panel.Series.SelectMany(series => series.Values).Where(value => value > 0 && double.IsFinite(value))];
        var (least, most) = values.Length == 0 ? (0, 1) : (values.Min(), values.Max());
        var isLogarithmic = most > 50 * least;
        var bottom = top + PlotTop + PlotHeight;
        svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{Margin}\" y1=\"{bottom:0.#}\" x2=\"{width - Margin:0.#}\" y2=\"{bottom:0.#}\" stroke=\"#7b8794\"/>\n");
        for (var group = 0; group < panel.Groups.Count; group++)
        {
            var left = Margin + GroupGap + (group * GroupWidth(panel));
            for (var i = 0; i < panel.Series.Count; i++)
            {
                if (panel.Series[i].Values[group] is > 0 and < double.PositiveInfinity and var value)
                {
                    // A logarithmic bar begins a little below the least value, so that this too has a length.
                    var share = isLogarithmic ? Math.Log(value / least * 1.5) / Math.Log(most / least * 1.5) : value / most;
                    AppendBar(svg, left + (i * BarWidth), bottom, share * PlotHeight, Colours[i % Colours.Length], value);
                }
            }

            AppendText(svg, left + (panel.Series.Count * BarWidth / 2), bottom + 16, 11, "middle", panel.Groups[group]);
        }

        if (isLogarithmic)
        {
            AppendText(svg, width - Margin, top + 18, 11, "end", "logarithmic", "font-style=\"italic\"");
        }
    }

    private static void AppendBar(StringBuilder svg, double x, double bottom, double height, string colour, double value)
    {
        svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{x + 2:0.#}\" y=\"{bottom - height:0.#}\" width=\"{BarWidth - 4:0.#}\" height=\"{height:0.#}\" fill=\"{colour}\"/>\n");
        var digits = value >= 100 ? "0" : value >= 1 ? "0.0" : "0.00";
        AppendText(svg, x + (BarWidth / 2), bottom - height - 3, 9, "middle", value.ToString(digits, CultureInfo.InvariantCulture));
    }

    private static void AppendText(StringBuilder svg, double x, double y, int size, string anchor, string text, string style = "")
    {
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{x:0.#}\" y=\"{y:0.#}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"#1f2933\" {style}>{Escape(text)}</text>\n");
    }

    // A model's name is a folder's; XML has characters that it cannot hold even escaped.
    private static string Escape(string text) => string.Concat(text.Select(c => XmlConvert.IsXmlChar(c) ? c : '?'))
        .Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal);
}
