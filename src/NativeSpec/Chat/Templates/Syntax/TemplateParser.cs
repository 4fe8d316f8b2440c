using System.Runtime.CompilerServices;

namespace NativeSpec.Chat.Templates.Syntax;

/// <summary>Reads a template into statements, by recursive descent along Jinja's own grammar. What Jinja has and this engine has not is refused here,
/// with its place, and never later while a conversation is rendered.</summary>
internal sealed partial class TemplateParser
{
    /// <summary>How deep tags and brackets may be nested. Published templates nest up to 15.</summary>
    private const int MaxNesting = 120;

    private readonly TemplateSource _source;
    private readonly TemplateLexer _tokens;
    private readonly HashSet<string> _assigned = new(StringComparer.Ordinal);
    private readonly List<NameExpression> _unsupportedNames = [];
    private readonly HashSet<string> _read = new(StringComparer.Ordinal); // names that the macro being read uses
    private int _at;
    private int _nesting;
    private int _loops;

    private TemplateParser(TemplateSource source)
    {
        _source = source;
        _tokens = new TemplateLexer(source);
    }

    private TemplateToken Current => _tokens[_at];

    /// <summary>The statements of a template.</summary>
    /// <exception cref="ChatTemplateException">It is no Jinja, or uses what is not supported.</exception>
    public static Statement[] Parse(TemplateSource source)
    {
        var parser = new TemplateParser(source);
        var body = parser.ParseBody([], "");
        if (parser._unsupportedNames.Find(name => !parser._assigned.Contains(name.Name)) is { } unsupported)
        {
            source.Refuse($"'{unsupported.Name}' is not supported", unsupported.Position);
        }

        return body;
    }

    private bool IsOperator(string text) => Current.Kind == TokenKind.Operator && Current.Text == text;

    private bool IsName(string text) => Current.Kind == TokenKind.Name && Current.Text == text;

    private TemplateToken Take() => Current.Kind == TokenKind.End ? Current : _tokens[_at++];

    private bool Skip(string text)
    {
        var isIt = Current.Kind is TokenKind.Operator or TokenKind.Name && Current.Text == text;
        _at += isIt ? 1 : 0;
        return isIt;
    }

    private void Expect(string text)
    {
        if (!Skip(text))
        {
            Refuse($"expected '{text}', found {Current.Described}");
        }
    }

    private void Expect(TokenKind kind, string described)
    {
        if (Current.Kind != kind)
        {
            Refuse($"expected {described}, found {Current.Described}");
        }

        _at++;
    }

    private string ExpectName(string what)
    {
        if (Current.Kind != TokenKind.Name)
        {
            Refuse($"expected {what}, found {Current.Described}");
        }

        return Take().Text;
    }

    private void Refuse(string reason) => _source.Refuse(reason, Current.Position);

    private T Nested<T>(Func<T> parse)
    {
        if (++_nesting > MaxNesting || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw _source.Error(ChatTemplateFault.Limit, $"tags and brackets are nested more than {MaxNesting} deep", Current.Position);
        }

        var result = parse();
        _nesting--;
        return result;
    }
}
