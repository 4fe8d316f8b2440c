using System.Text;

namespace NativeSpec.Training.Corpus;

/// <summary>A corpus of C# documentation comments, taken from the XML documentation that comes with the .NET SDK's reference packs.
/// <para>A document is the namespace, the member's signature and then its comment. A source file has the comment first; here it comes last,
/// because a model that writes from left to right can only use what it has read: the signature is what one has when a comment is
/// missing, and the comment is what one wants.</para></summary>
public sealed class DocumentationCorpus
{
    /// <summary>The namespaces whose documents are held out, each with all below it.</summary>
    public static IReadOnlyList<string> DefaultHeldOut { get; } =
    [
        "Microsoft.AspNetCore.Cors", "Microsoft.AspNetCore.RateLimiting", "Microsoft.AspNetCore.SignalR", "Microsoft.Extensions.Caching",
        "Microsoft.Extensions.Http", "System.Collections.Immutable", "System.IO.Compression", "System.Net.Quic", "System.Text.Json",
        "System.Threading.Channels",
    ];

    /// <summary>The namespaces that are left out, each with all below it: lists of processor instructions, which are no prose.</summary>
    public static IReadOnlyList<string> DefaultLeftOut { get; } = ["System.Runtime.Intrinsics"];

    private static readonly string[] Order = ["summary", "typeparam", "param", "returns", "value", "exception", "remarks"];

    private DocumentationCorpus(int files, int members, IReadOnlyList<string> train, IReadOnlyList<string> heldOut)
    {
        (Files, Members, Train, HeldOut) = (files, members, train, heldOut);
    }

    /// <summary>XML files read.</summary>
    public int Files { get; }

    /// <summary>Members read, those without a comment of their own and repeated ones included.</summary>
    public int Members { get; }

    /// <summary>The documents to train with, in the order of the files.</summary>
    public IReadOnlyList<string> Train { get; }

    /// <summary>The documents of the namespaces that are held out.</summary>
    public IReadOnlyList<string> HeldOut { get; }

    /// <summary>Reads the packs. A comment that was seen before, word for word, is left out wherever it stands.</summary>
    /// <param name="packs">The folder that holds the reference packs; null for that of the .NET that runs this process.</param>
    /// <param name="heldOut">The namespaces to hold out; null for <see cref="DefaultHeldOut"/>.</param>
    /// <param name="leftOut">The namespaces to leave out; null for <see cref="DefaultLeftOut"/>.</param>
    /// <param name="cancellationToken">Ends the work between two files.</param>
    /// <exception cref="FileNotFoundException">There are no packs: the message says where they were looked for and how to get them.</exception>
    /// <exception cref="Loading.ModelFormatException">A file cannot be read as XML documentation.</exception>
    public static DocumentationCorpus Extract(
        string? packs = null, IReadOnlyList<string>? heldOut = null, IReadOnlyList<string>? leftOut = null, CancellationToken cancellationToken = default)
    {
        (heldOut, leftOut) = (heldOut ?? DefaultHeldOut, leftOut ?? DefaultLeftOut);
        var files = ReferencePacks.FindFiles(packs ?? ReferencePacks.DefaultFolder());
        var types = Types(files, cancellationToken);
        var signatures = new MemberSignature(types);
        var references = new CommentReference(signatures);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var members = 0;
        List<string> train = [], held = [];
        foreach (var file in files)
        {
            cancellationToken.ThrowIfCancellationRequested();
            foreach (var member in DocumentationFile.Read(file, references.Write))
            {
                members++;
                var name = signatures.Namespace(member.Id);
                var comment = IsIn(name, leftOut) ? "" : Comment(member, references);
                if (comment.Length == 0 || !seen.Add(comment) || Signature(member, signatures) is not { } signature)
                {
                    continue;
                }

                (IsIn(name, heldOut) ? held : train).Add($"{(name.Length == 0 ? "" : $"namespace {name};\n")}{signature}\n{comment}");
            }
        }

        return new(files.Count, members, train, held);
    }

    private static TypeNames Types(IReadOnlyList<string> files, CancellationToken cancellationToken)
    {
        var types = new TypeNames();
        foreach (var file in files)
        {
            cancellationToken.ThrowIfCancellationRequested();
            foreach (var member in DocumentationFile.Read(file, id => id))
            {
                if (member.Id[0] == 'T')
                {
                    types.Add(member.Id[2..], TypeParameters(member));
                }
            }
        }

        return types;
    }

    private static string[] TypeParameters(DocumentedMember member) => [.. member.Elements.Where(e => e is { Tag: "typeparam", Name: not null }).Select(e => e.Name!)];

    private static string? Signature(DocumentedMember member, MemberSignature signatures)
    {
        (string, string)[] parameters = [.. member.Elements.Where(e => e is { Tag: "param", Name: not null }).Select(e => (e.Name!, e.Text))];
        return "TMPFE".Contains(member.Id[0], StringComparison.Ordinal) ? signatures.Write(member.Id, parameters, TypeParameters(member)) : null;
    }

    // One line per element, in the order that C# comments have by custom. Without a summary there is nothing to complete.
    private static string Comment(DocumentedMember member, CommentReference references)
    {
        var comment = new StringBuilder();
        if (member.Elements.Any(e => e.Tag == "summary"))
        {
            foreach (var (tag, name, text) in member.Elements.OrderBy(e => Array.IndexOf(Order, e.Tag)))
            {
                var attribute = name is null ? "" : tag == "exception" ? $" cref=\"{references.Write(name)}\"" : $" name=\"{name}\"";
                comment.Append("/// <").Append(tag).Append(attribute).Append('>').Append(text).Append("</").Append(tag).Append(">\n");
            }
        }

        return comment.ToString();
    }

    private static bool IsIn(string name, IReadOnlyList<string> prefixes) =>
        prefixes.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal) && (name.Length == prefix.Length || name[prefix.Length] == '.'));
}
