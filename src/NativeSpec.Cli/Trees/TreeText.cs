using System.Globalization;
using System.Text;
using NativeSpec.Speculation.TreeLayouts;

namespace NativeSpec.Cli.Trees;

/// <summary>A layout as text for a terminal: the tree, and its mask.</summary>
internal static class TreeText
{
    /// <summary>Draws a layout.</summary>
    /// <param name="layout">The layout.</param>
    /// <param name="acceptance">Adds each node's chance to be accepted; null where it is not known.</param>
    public static string Render(TreeLayout layout, AcceptanceTable? acceptance = null)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var text = new StringBuilder();
        var digits = (layout.Count - 1).ToString(CultureInfo.InvariantCulture).Length;
        text.Append(Summary(layout, acceptance)).Append("\n\n").Append("0".PadLeft(digits)).Append(" root\n");
        AppendChildren(text, layout, acceptance, 0, "", digits);
        text.Append("\nmask: the node of the row sees the nodes marked #\n\n");
        for (var row = 0; row < layout.Count; row++)
        {
            text.Append(row.ToString(CultureInfo.InvariantCulture).PadLeft(digits)).Append(' ');
            for (var column = 0; column <= row; column++)
            {
                text.Append(layout.Sees(row, column) ? '#' : '.');
            }

            text.Append('\n');
        }

        return text.ToString();
    }

    /// <summary>One line: name, nodes, depth, leaves, nodes for each depth, expected tokens.</summary>
    internal static string Summary(TreeLayout layout, AcceptanceTable? acceptance)
    {
        var perDepth = Enumerable.Range(1, layout.Depth).Select(depth => layout.Depths.Count(depth));
        var tokens = acceptance is null ? ""
            : string.Create(CultureInfo.InvariantCulture, $", {acceptance.ExpectedTokens(layout):0.00} tokens per round expected");
        return $"{layout.Name}: {layout.Count} nodes, {layout.Depth} deep, {layout.LeafCount} leaves, "
            + $"{string.Join("/", perDepth)} per depth{tokens}";
    }

    private static void AppendChildren(StringBuilder text, TreeLayout layout, AcceptanceTable? acceptance, int node, string indent, int digits)
    {
        var (begin, end) = layout.Children(node);
        for (var child = begin; child < end; child++)
        {
            var isLast = child == end - 1;
            text.Append(child.ToString(CultureInfo.InvariantCulture).PadLeft(digits)).Append(' ')
                .Append(indent).Append(isLast ? "└─ " : "├─ ").Append(layout.Ranks[child]);
            if (acceptance is not null)
            {
                text.Append(CultureInfo.InvariantCulture, $"  {acceptance.PathAcceptance(layout, child):0.000}");
            }

            text.Append('\n');
            AppendChildren(text, layout, acceptance, child, indent + (isLast ? "   " : "│  "), digits);
        }
    }
}
