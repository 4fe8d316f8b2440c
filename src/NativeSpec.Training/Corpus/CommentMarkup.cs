using System.Text;
using System.Xml;

namespace NativeSpec.Training.Corpus;

/// <summary>Rewrites the inside of a comment's element as a source file has it, on one line: ids in <c>cref</c> become C# names, links and
/// emphasis become their text, white space becomes single spaces.</summary>
internal sealed class CommentMarkup(Func<string, string> cref)
{
    // The tags that compilers and editors know; others leave their text behind.
    private static readonly HashSet<string> Kept = new(["para", "c", "code", "list", "listheader", "item", "term", "description"], StringComparer.Ordinal);

    /// <summary>Reads from a start tag to its end tag, where the reader is left.</summary>
    public string Read(XmlReader reader)
    {
        if (reader.IsEmptyElement)
        {
            return "";
        }

        var (depth, text) = (reader.Depth, new StringBuilder());
        var skipped = int.MaxValue; // the depth of an element whose inside is left out
        while (reader.Read() && reader.Depth > depth)
        {
            if (reader.Depth > skipped || (reader.Depth == skipped && reader.NodeType == XmlNodeType.EndElement))
            {
                continue;
            }

            skipped = int.MaxValue;
            switch (reader.NodeType)
            {
                case XmlNodeType.Element when Reference(reader) is { } reference:
                    text.Append(reference);
                    skipped = reader.IsEmptyElement ? skipped : reader.Depth;
                    break;
                case XmlNodeType.Element:
                    text.Append(Kept.Contains(reader.Name) ? Open(reader) : reader.Name is "br" or "p" or "li" ? " " : "");
                    break;
                case XmlNodeType.EndElement:
                    text.Append(Kept.Contains(reader.Name) ? $"</{TagOf(reader.Name)}>" : "");
                    break;
                case XmlNodeType.Text or XmlNodeType.CDATA or XmlNodeType.Whitespace or XmlNodeType.SignificantWhitespace:
                    text.Append(reader.Value.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal));
                    break;
            }
        }

        return OneLine(text);
    }

    /// <summary>Makes every stretch of white space one space, and none at either end.</summary>
    public static string OneLine(StringBuilder text)
    {
        var line = new StringBuilder(text.Length);
        var isPending = false;
        for (var i = 0; i < text.Length; i++)
        {
            if (char.IsWhiteSpace(text[i]))
            {
                isPending = line.Length > 0;
                continue;
            }

            line.Append(isPending ? " " : "").Append(text[i]);
            isPending = false;
        }

        return line.ToString();
    }

    // An element that stands for a name: it says all in its attribute. A link to a page is only its text.
    private string? Reference(XmlReader reader) => reader.Name switch
    {
        "see" or "seealso" when reader.GetAttribute("cref") is { } id => $"<see cref=\"{cref(id)}\"/>",
        "xref" when reader.GetAttribute("uid") is { } id => $"<see cref=\"{cref(id)}\"/>",
        "see" when reader.GetAttribute("langword") is { } word => $"<see langword=\"{Attribute(word)}\"/>",
        "paramref" or "typeparamref" when reader.GetAttribute("name") is { } name => $"<{reader.Name} name=\"{Attribute(name)}\"/>",
        "script" => "",
        _ => null,
    };

    private static string Open(XmlReader reader)
    {
        var end = reader.IsEmptyElement ? "/>" : ">";
        return reader.Name == "list" && reader.GetAttribute("type") is { } type ? $"<list type=\"{Attribute(type)}\"{end}" : $"<{TagOf(reader.Name)}{end}";
    }

    // Every block of code is on one line here, which makes it a piece of code in a text.
    private static string TagOf(string name) => name == "code" ? "c" : name;

    private static string Attribute(string value) =>
        value.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal).Replace("\"", "&quot;", StringComparison.Ordinal);
}
