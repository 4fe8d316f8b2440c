namespace NativeSpec.Training.Corpus;

/// <summary>What the documentation tells of types: which names are types, and what their type parameters are called. A member's id does
/// not say where the namespace ends and the types begin.</summary>
internal sealed class TypeNames
{
    private static readonly Dictionary<string, string> Keywords = new (string Name, string Written)[]
    {
        ("System.Boolean", "bool"), ("System.Byte", "byte"), ("System.SByte", "sbyte"), ("System.Char", "char"),
        ("System.Decimal", "decimal"), ("System.Double", "double"), ("System.Single", "float"), ("System.Int32", "int"),
        ("System.UInt32", "uint"), ("System.IntPtr", "nint"), ("System.UIntPtr", "nuint"), ("System.Int64", "long"),
        ("System.UInt64", "ulong"), ("System.Int16", "short"), ("System.UInt16", "ushort"), ("System.Object", "object"),
        ("System.String", "string"), ("System.Void", "void"),
    }.ToDictionary(entry => entry.Name, entry => entry.Written, StringComparer.Ordinal);

    private readonly Dictionary<string, string[]> _parameters = new(StringComparer.Ordinal);

    /// <summary>Takes note of a type.</summary>
    /// <param name="id">Its id without <c>T:</c>, such as <c>System.Collections.Generic.List`1</c>.</param>
    /// <param name="parameters">The names of its type parameters, as far as they are documented.</param>
    public void Add(string id, string[] parameters) => _parameters.TryAdd(id, parameters);

    /// <summary>The C# keyword of a type, or the last part of its name.</summary>
    public static string Short(string name) => Keywords.TryGetValue(name, out var keyword) ? keyword : name[(name.LastIndexOf('.') + 1)..];

    /// <summary>How many of the dotted parts of a type's id are its namespace.</summary>
    public int NamespaceParts(string[] parts)
    {
        // The outermost known type begins the chain; an undocumented type is taken to stand alone.
        for (var count = 1; count < parts.Length; count++)
        {
            if (_parameters.ContainsKey(string.Join('.', parts, 0, count)))
            {
                return count - 1;
            }
        }

        return parts.Length - 1;
    }

    /// <summary>A type as C# names it where it is defined, with the types around it: <c>Dictionary&lt;TKey, TValue&gt;.Enumerator</c>.</summary>
    /// <param name="id">Its id without <c>T:</c>.</param>
    /// <param name="parameters">All type parameters in scope, the outermost first.</param>
    public string Definition(string id, out string[] parameters)
    {
        var parts = id.Split('.');
        List<string> names = [], all = [];
        for (var i = NamespaceParts(parts); i < parts.Length; i++)
        {
            var (name, arity) = SplitArity(parts[i]);
            var path = string.Join('.', parts, 0, i + 1);
            var own = _parameters.TryGetValue(path, out var documented) && documented.Length == arity ? documented : Placeholders(arity);
            all.AddRange(own);
            names.Add(own.Length == 0 ? name : $"{name}<{string.Join(", ", own)}>");
        }

        parameters = [.. all];
        return names.Count == 1 && parameters.Length == 0 ? Short(id) : string.Join('.', names);
    }

    /// <summary>Cuts <c>List`1</c> or <c>ConvertAll``1</c> into the name and the number of type parameters.</summary>
    public static (string Name, int Arity) SplitArity(string part)
    {
        var tick = part.IndexOf('`', StringComparison.Ordinal);
        var digits = tick < 0 ? "" : part[tick..].TrimStart('`');
        return tick < 0 ? (part, 0) : (part[..tick], int.TryParse(digits, out var arity) && arity is >= 0 and <= 64 ? arity : 0);
    }

    /// <summary>Names for type parameters that nobody named: T, or T1, T2 and on.</summary>
    public static string[] Placeholders(int count) => count == 1 ? ["T"] : [.. Enumerable.Range(1, count).Select(i => $"T{i}")];
}
