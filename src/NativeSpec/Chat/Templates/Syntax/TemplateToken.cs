namespace NativeSpec.Chat.Templates.Syntax;

/// <summary>The kinds of token that a template is cut into.</summary>
internal enum TokenKind
{
    /// <summary>Text between tags.</summary>
    Text,
    /// <summary><c>{{</c></summary>
    PrintBegin,
    /// <summary><c>}}</c></summary>
    PrintEnd,
    /// <summary><c>{%</c></summary>
    BlockBegin,
    /// <summary><c>%}</c></summary>
    BlockEnd,
    /// <summary>A name or a keyword.</summary>
    Name,
    /// <summary>A string, unescaped.</summary>
    String,
    /// <summary>A whole number.</summary>
    Integer,
    /// <summary>A number with a fraction or an exponent.</summary>
    Float,
    /// <summary>An operator or a bracket.</summary>
    Operator,
    /// <summary>The end of the template.</summary>
    End,
}

/// <summary>A token of a template.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">Its text; a string's is unescaped.</param>
/// <param name="Position">Where it begins, in UTF-16 units.</param>
internal readonly record struct TemplateToken(TokenKind Kind, string Text, int Position)
{
    /// <summary>The token for a message.</summary>
    public string Described => Kind switch
    {
        TokenKind.PrintEnd => "the end of the print statement",
        TokenKind.BlockEnd => "the end of the tag",
        TokenKind.End => "the end of the template",
        TokenKind.String => "a string",
        TokenKind.Text => "text",
        _ => $"'{(Text.Length > 40 ? Text[..40] + "…" : Text)}'",
    };
}
