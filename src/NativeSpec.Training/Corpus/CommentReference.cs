namespace NativeSpec.Training.Corpus;

/// <summary>Writes the ids of <c>cref</c> attributes as source files write them: short names, and braces around type arguments.</summary>
internal sealed class CommentReference(MemberSignature signatures)
{
    /// <summary>The C# of an id: <c>T:System.Collections.Generic.List`1</c> becomes <c>List{T}</c>.</summary>
    public string Write(string id)
    {
        var written = id.Length > 2 && id[1] == ':' ? id[0] switch
        {
            'T' or 'M' or 'P' or 'F' or 'E' => Signature(id),
            'N' => id[2..],
            _ => LastTwo(id[2..]),
        }
        : LastTwo(id);
        // The symbol of an operator is no bracket of type arguments.
        const string Mark = ".operator ";
        var symbol = written.IndexOf(Mark, StringComparison.Ordinal);
        var arguments = symbol < 0 ? -1 : written.IndexOf('(', symbol);
        return arguments < 0 ? Braces(written) : Braces(written[..symbol]) + Escape(written[symbol..arguments]) + Braces(written[arguments..]);
    }

    private static string Braces(string written) => Escape(written.Replace('<', '{').Replace('>', '}'));

    private static string Escape(string written) => written.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal)
        .Replace("\"", "", StringComparison.Ordinal);

    private string Signature(string id)
    {
        var written = signatures.Write(id, [], []) ?? LastTwo(id[2..]);
        return written.StartsWith("new ", StringComparison.Ordinal) ? written["new ".Length..]
            : written.StartsWith("event ", StringComparison.Ordinal) ? written["event ".Length..] : written;
    }

    // An overload group (O:) or an id that the compiler could not resolve (!:): the type and the member.
    private static string LastTwo(string path)
    {
        var parts = path.Split('(')[0].Split('.');
        return string.Join('.', parts[Math.Max(0, parts.Length - 2)..].Select(part => TypeNames.SplitArity(part).Name));
    }
}
