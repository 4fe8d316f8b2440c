using System.Xml;
using NativeSpec.Loading;

namespace NativeSpec.Training.Corpus;

/// <summary>One element of a documentation comment.</summary>
/// <param name="Tag">summary, param, returns …</param>
/// <param name="Name">The parameter that it describes or the exception's id; null where the tag has neither.</param>
/// <param name="Text">The text with its inner markup on one line, as it would stand in a source file.</param>
internal sealed record CommentElement(string Tag, string? Name, string Text);

/// <summary>A documented member.</summary>
/// <param name="Id">Its id, such as <c>P:System.String.Length</c>.</param>
/// <param name="Elements">Its comment, in the file's order.</param>
internal sealed record DocumentedMember(string Id, IReadOnlyList<CommentElement> Elements);

/// <summary>Reads the XML documentation of an assembly, within limits and without what XML can do to its reader: no document type, no
/// entities, nothing from elsewhere.</summary>
internal static class DocumentationFile
{
    /// <summary>Longest file in bytes, and most characters in it.</summary>
    public const long MaxLength = 256L << 20;

    private static readonly HashSet<string> Tags = new(["summary", "typeparam", "param", "returns", "value", "exception", "remarks"], StringComparer.Ordinal);

    /// <summary>The members of a file, in its order.</summary>
    /// <param name="file">The file.</param>
    /// <param name="cref">Turns an id into what a source file writes in <c>cref</c>.</param>
    /// <exception cref="ModelFormatException">The file cannot be read, is too long, or is no XML: the message says where.</exception>
    public static List<DocumentedMember> Read(string file, Func<string, string> cref)
    {
        try
        {
            var length = new FileInfo(file).Length;
            if (length > MaxLength)
            {
                throw new ModelFormatException(file, $"has {length} bytes: expected XML documentation of at most {MaxLength}");
            }

            var settings = new XmlReaderSettings
            {
                DtdProcessing = DtdProcessing.Prohibit,
                XmlResolver = null,
                MaxCharactersInDocument = MaxLength,
                IgnoreComments = true,
                IgnoreProcessingInstructions = true,
            };
            using var stream = File.OpenRead(file);
            using var reader = XmlReader.Create(stream, settings);
            return Members(reader, new CommentMarkup(cref));
        }
        catch (XmlException error)
        {
            // What is wrong before the first element (no element at all, a document type) comes without its line.
            var place = error.LineNumber > 0 ? $"line {error.LineNumber}" : "before its first element";
            throw new ModelFormatException(file, $"is no XML documentation that can be read, {place}: {error.Message}", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ModelFormatException(file, $"cannot be read: {error.Message}", error);
        }
    }

    private static List<DocumentedMember> Members(XmlReader reader, CommentMarkup markup)
    {
        List<DocumentedMember> members = [];
        while (reader.Read())
        {
            if (reader.NodeType == XmlNodeType.Element && reader.Name == "member" && reader.GetAttribute("name") is { Length: > 2 } id && id[1] == ':')
            {
                members.Add(new(id, reader.IsEmptyElement ? [] : Elements(reader, markup)));
            }
        }

        return members;
    }

    private static List<CommentElement> Elements(XmlReader reader, CommentMarkup markup)
    {
        List<CommentElement> elements = [];
        var depth = reader.Depth;
        while (reader.Read() && reader.Depth > depth)
        {
            if (reader.NodeType == XmlNodeType.Element && reader.Depth == depth + 1 && Tags.Contains(reader.Name))
            {
                var tag = reader.Name;
                var name = reader.GetAttribute("name") ?? reader.GetAttribute("cref");
                var text = markup.Read(reader);
                if (text.Length > 0 && text is not ("To be added." or "To be added"))
                {
                    elements.Add(new(tag, name, text));
                }
            }
        }

        return elements;
    }
}
