using System.Globalization;
using System.Text;
using System.Xml;
using NativeSpec.Speculation.TreeLayouts;

namespace NativeSpec.Cli.Trees;

/// <summary>A layout as a picture: one row for each depth, leaves side by side, parents above the middle of their children, each node with
/// its rank. Where acceptance is known, a node and the edge to it are as dark as its path is likely to be accepted.</summary>
internal static class TreeSvg
{
    private const double Margin = 24;
    private const double LabelWidth = 150;
    private const double TitleHeight = 56;
    private const double NodeGap = 30;
    private const double LevelGap = 96;
    private const double Radius = 11;

    /// <summary>Draws a layout.</summary>
    /// <param name="layout">The layout.</param>
    /// <param name="acceptance">Colours the nodes; null where it is not known.</param>
    /// <returns>A whole SVG document.</returns>
    public static string Render(TreeLayout layout, AcceptanceTable? acceptance = null)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var x = Places(layout);
        var width = LabelWidth + (NodeGap * Math.Max(layout.LeafCount, 12)) + (2 * Margin);
        var height = TitleHeight + (LevelGap * (layout.Depth + 1)) + Margin;
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:0}\" height=\"{height:0}\" "
            + $"viewBox=\"0 0 {width:0} {height:0}\" font-family=\"system-ui, sans-serif\">\n");
        svg.Append("<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Margin}\" y=\"34\" font-size=\"16\" font-weight=\"600\" "
            + $"fill=\"#1f2933\">{Escape(TreeText.Summary(layout, acceptance))}</text>\n");
        for (var depth = 0; depth <= layout.Depth; depth++)
        {
            AppendLevel(svg, depth, width);
        }

        for (var node = 1; node < layout.Count; node++)
        {
            AppendEdge(svg, layout, x, node, acceptance?.PathAcceptance(layout, node));
        }

        for (var node = 0; node < layout.Count; node++)
        {
            AppendNode(svg, layout, x, node, acceptance?.PathAcceptance(layout, node));
        }

        return svg.Append("</svg>\n").ToString();
    }

    /// <summary>Leaves stand in the order of a walk through the tree; a parent stands over the middle of its first and last child.</summary>
    private static double[] Places(TreeLayout layout)
    {
        var x = new double[layout.Count];
        var leaves = 0;
        Place(0);
        return x;

        void Place(int node)
        {
            var (begin, end) = layout.Children(node);
            for (var child = begin; child < end; child++)
            {
                Place(child);
            }

            x[node] = begin == end ? Margin + LabelWidth + (NodeGap * (leaves++ + 0.5)) : (x[begin] + x[end - 1]) / 2;
        }
    }

    private static double Y(int depth) => TitleHeight + (LevelGap * (depth + 0.5));

    private static void AppendLevel(StringBuilder svg, int depth, double width)
    {
        var label = depth == 0 ? "root" : $"depth {depth}";
        var meaning = depth == 0 ? "the last token" : $"head {depth - 1}, position +{depth}";
        svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{Margin + LabelWidth - 10}\" y1=\"{Y(depth)}\" x2=\"{width - Margin}\" "
            + $"y2=\"{Y(depth)}\" stroke=\"#eef1f4\"/>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Margin}\" y=\"{Y(depth) - 2}\" font-size=\"13\" "
            + $"fill=\"#1f2933\">{label}</text>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Margin}\" y=\"{Y(depth) + 14}\" font-size=\"11\" "
            + $"fill=\"#7b8794\">{meaning}</text>\n");
    }

    private static void AppendEdge(StringBuilder svg, TreeLayout layout, double[] x, int node, double? acceptance)
    {
        var (parent, depth) = (layout.Parents[node], layout.Depths[node]);
        double top = Y(depth - 1) + Radius, bottom = Y(depth) - Radius, middle = (top + bottom) / 2;
        svg.Append(CultureInfo.InvariantCulture, $"<path d=\"M{x[parent]:0.#} {top:0.#} C{x[parent]:0.#} {middle:0.#} {x[node]:0.#} "
            + $"{middle:0.#} {x[node]:0.#} {bottom:0.#}\" fill=\"none\" ")
            .Append(CultureInfo.InvariantCulture, $"stroke=\"{Colour(Math.Max(acceptance ?? 0.3, 0.03))}\" "
                + $"stroke-width=\"{1 + (3 * (acceptance ?? 0.1)):0.##}\"/>\n");
    }

    private static void AppendNode(StringBuilder svg, TreeLayout layout, double[] x, int node, double? acceptance)
    {
        var fill = Colour(acceptance ?? 0.3);
        var ink = (acceptance ?? 0.3) > 0.25 ? "#ffffff" : "#1f2933";
        var tip = node == 0 ? "root" : $"[{string.Join(", ", layout.Path(node))}]";
        var chance = acceptance is { } p ? string.Create(CultureInfo.InvariantCulture, $": accepted with {p:0.000}") : "";
        svg.Append(CultureInfo.InvariantCulture, $"<g><title>node {node}, {tip}{chance}</title><circle cx=\"{x[node]:0.#}\" "
            + $"cy=\"{Y(layout.Depths[node]):0.#}\" r=\"{Radius}\" fill=\"{fill}\" stroke=\"#52606d\" stroke-width=\"0.8\"/>")
            .Append(CultureInfo.InvariantCulture, $"<text x=\"{x[node]:0.#}\" y=\"{Y(layout.Depths[node]) + 4:0.#}\" font-size=\"11\" "
                + $"text-anchor=\"middle\" fill=\"{ink}\">{(node == 0 ? "•" : layout.Ranks[node])}</text></g>\n");
    }

    /// <summary>From almost white for 0 to dark blue for 1. The root of the probability spreads the small ones, of which there are most.</summary>
    private static string Colour(double acceptance)
    {
        var t = Math.Sqrt(Math.Clamp(acceptance, 0, 1));
        int Mix(int light, int dark) => (int)Math.Round(light + (t * (dark - light)));
        return $"#{Mix(240, 11):x2}{Mix(245, 61):x2}{Mix(251, 145):x2}";
    }

    // A layout's name may come from a file; XML has characters that it cannot hold even escaped.
    private static string Escape(string text) => string.Concat(text.Select(c => XmlConvert.IsXmlChar(c) ? c : '?'))
        .Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal);
}
