namespace NativeSpec.Training.Corpus;

/// <summary>Writes a member's id as C#: <c>M:System.Int32.TryParse(System.String,System.Int32@)</c> with the parameters' names becomes
/// <c>int.TryParse(string s, out int result)</c>. An id says neither the type that a member returns nor its modifiers, so neither is
/// written; nothing is made up.</summary>
internal sealed class MemberSignature(TypeNames types)
{
    private static readonly Dictionary<string, string> Operators = new (string Name, string Written)[]
    {
        ("op_Addition", "+"), ("op_Subtraction", "-"), ("op_Multiply", "*"), ("op_Division", "/"), ("op_Modulus", "%"),
        ("op_Equality", "=="), ("op_Inequality", "!="), ("op_LessThan", "<"), ("op_GreaterThan", ">"), ("op_LessThanOrEqual", "<="),
        ("op_GreaterThanOrEqual", ">="), ("op_BitwiseAnd", "&"), ("op_BitwiseOr", "|"), ("op_ExclusiveOr", "^"),
        ("op_LeftShift", "<<"), ("op_RightShift", ">>"), ("op_UnsignedRightShift", ">>>"), ("op_OnesComplement", "~"),
        ("op_LogicalNot", "!"), ("op_UnaryNegation", "-"), ("op_UnaryPlus", "+"), ("op_Increment", "++"), ("op_Decrement", "--"),
        ("op_True", "true"), ("op_False", "false"), ("op_CheckedAddition", "checked +"), ("op_CheckedSubtraction", "checked -"),
        ("op_CheckedMultiply", "checked *"), ("op_CheckedDivision", "checked /"), ("op_CheckedUnaryNegation", "checked -"),
        ("op_CheckedIncrement", "checked ++"), ("op_CheckedDecrement", "checked --"),
    }.ToDictionary(entry => entry.Name, entry => entry.Written, StringComparer.Ordinal);

    /// <summary>The namespace of a member or type.</summary>
    public string Namespace(string id)
    {
        var parts = Path(id).Split('.');
        var typeParts = id[0] == 'T' ? parts : parts[..^1];
        return string.Join('.', parts, 0, types.NamespaceParts(typeParts));
    }

    /// <summary>The signature with the names of its parameters.</summary>
    /// <param name="id">The id, beginning with its kind: <c>T: M: P: F: E:</c>.</param>
    /// <param name="parameters">The documented parameters in order: the name and the text that tells an <c>out</c> from a <c>ref</c>.</param>
    /// <param name="typeParameters">The member's own documented type parameters.</param>
    /// <returns>Null where the id is not of the grammar.</returns>
    public string? Write(string id, IReadOnlyList<(string Name, string Text)> parameters, string[] typeParameters)
    {
        var path = Path(id);
        if (id[0] == 'T')
        {
            return types.Definition(path, out _);
        }

        var dot = path.LastIndexOf('.');
        if (dot < 0)
        {
            return null;
        }

        var type = types.Definition(path[..dot], out var outer);
        var (name, arity) = TypeNames.SplitArity(path[(dot + 1)..]);
        var own = typeParameters.Length == arity ? typeParameters : TypeNames.Placeholders(arity);
        var open = id.IndexOf('(', StringComparison.Ordinal);
        var close = id.LastIndexOf(')');
        List<string>? list = [];
        if (open >= 0)
        {
            list = close > open ? TypeReference.List(id.AsSpan(open + 1, close - open - 1), outer, own) : null;
        }

        if (list is null)
        {
            return null;
        }

        var arguments = string.Join(", ", list.Select((one, i) => Parameter(one, parameters.Count == list.Count ? parameters[i] : default, name)));
        if (id[0] != 'M')
        {
            return open >= 0 ? $"{type}.this[{arguments}]" : id[0] == 'E' ? $"event {type}.{Member(name)}" : $"{type}.{Member(name)}";
        }

        var generic = arity == 0 ? "" : $"<{string.Join(", ", own)}>";
        return name switch
        {
            "#ctor" => $"new {type}({arguments})",
            "op_Implicit" or "op_Explicit" => Conversion(id, name, type, arguments, outer),
            _ when Operators.TryGetValue(name, out var symbol) => $"{type}.operator {symbol}({arguments})",
            _ => $"{type}.{Member(name)}{generic}({arguments})",
        };
    }

    private static string? Conversion(string id, string name, string type, string arguments, string[] typeParameters)
    {
        var to = TypeReference.List(id.AsSpan(id.LastIndexOf('~') + 1), typeParameters, []);
        return to is [var target] ? $"{type}.{(name == "op_Implicit" ? "implicit" : "explicit")} operator {target}({arguments})" : null;
    }

    // A reference is an out parameter where the method only tries or the text says that the call sets it; else it may be read as well.
    private static string Parameter(string type, (string Name, string Text) documented, string method)
    {
        var isReference = type.EndsWith('&');
        var isOut = isReference && (method.StartsWith("Try", StringComparison.Ordinal) || method == "Deconstruct"
            || documented.Text is { } text && (text.Contains("this method returns", StringComparison.OrdinalIgnoreCase)
                || text.StartsWith("On return", StringComparison.OrdinalIgnoreCase)));
        var written = isReference ? $"{(isOut ? "out" : "ref")} {type.TrimEnd('&')}" : type;
        return string.IsNullOrEmpty(documented.Name) ? written : $"{written} {documented.Name}";
    }

    // An explicit implementation is called System#Collections#Generic#ICollection{T}#Add.
    private static string Member(string name)
    {
        if (!name.Contains('#', StringComparison.Ordinal))
        {
            return name;
        }

        var member = name.LastIndexOf('#');
        var owner = name[..member].Replace('#', '.').Replace('@', ',');
        return $"{(TypeReference.List(owner, [], []) is [var type] ? type : TypeNames.Short(owner))}.{name[(member + 1)..]}";
    }

    private static string Path(string id)
    {
        var path = id.AsSpan(2);
        var end = path.IndexOfAny('(', '~');
        return (end < 0 ? path : path[..end]).ToString();
    }
}
