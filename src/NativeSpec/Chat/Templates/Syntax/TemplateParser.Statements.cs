namespace NativeSpec.Chat.Templates.Syntax;

/// <content>Tags.</content>
internal sealed partial class TemplateParser
{
    private static readonly string[] Unsupported =
    [
        "include", "import", "from", "extends", "block", "autoescape", "trans", "do", "debug",
    ];

    /// <summary>Statements up to a tag of one of these names, which is left to be read; up to the end of the template where there are none.</summary>
    private Statement[] ParseBody(string[] ends, string opened)
    {
        List<Statement> body = [];
        while (true)
        {
            var token = Take();
            switch (token.Kind)
            {
                case TokenKind.Text:
                    body.Add(new TextStatement(token.Position, MarkedText.OfTemplate(token.Text)));
                    break;
                case TokenKind.PrintBegin:
                    body.Add(new PrintStatement(token.Position, ParseTuple()));
                    Expect(TokenKind.PrintEnd, "'}}'");
                    break;
                case TokenKind.BlockBegin when Current.Kind == TokenKind.Name && ends.Contains(Current.Text):
                    return [.. body];
                case TokenKind.BlockBegin:
                    body.Add(Nested(() => ParseStatement(ends, opened)));
                    ExpectBlockEnd();
                    break;
                case TokenKind.End when ends.Length == 0:
                    return [.. body];
                default:
                    throw _source.Error(ChatTemplateFault.Syntax, $"the template ends, and '{opened}' is open: expected {Quoted(ends)}", token.Position);
            }
        }
    }

    private static string Quoted(string[] names) => string.Join(" or ", names.Select(name => $"'{name}'"));

    private void ExpectBlockEnd() => Expect(TokenKind.BlockEnd, "'%}'");

    /// <summary>The body of a tag, whose head has been read, with the tag that ends it.</summary>
    private Statement[] ParseBlock(string opened, params string[] ends)
    {
        ExpectTagEnd();
        var body = ParseBody(ends, opened);
        if (ends.Length == 1)
        {
            _at++;
        }

        return body;
    }

    private void ExpectTagEnd()
    {
        Skip(":");
        ExpectBlockEnd();
    }

    private Statement ParseStatement(string[] ends, string opened)
    {
        var tag = Current;
        if (tag.Kind != TokenKind.Name)
        {
            Refuse($"expected the name of a tag, found {tag.Described}");
        }

        _at++;
        switch (tag.Text)
        {
            case "if":
                return ParseIf(tag.Position);
            case "for":
                return ParseFor(tag.Position);
            case "set":
                return ParseSet(tag.Position);
            case "macro":
                return ParseMacro(tag.Position);
            case "call":
                return ParseCallBlock(tag.Position);
            case "filter":
                var filters = ParseFilters(inTag: true);
                return new FilterBlockStatement(tag.Position, filters, ParseBlock(tag.Text, "endfilter"));
            case "with":
                return ParseWith(tag.Position);
            case "generation":
                return new ScopeStatement(tag.Position, [], ParseBlock(tag.Text, "endgeneration"));
            case "break" or "continue":
                return _loops > 0
                    ? new JumpStatement(tag.Position, tag.Text == "break")
                    : throw _source.Error(ChatTemplateFault.Syntax, $"'{tag.Text}' outside of a loop", tag.Position);
            default:
                throw _source.Error(
                    ChatTemplateFault.Syntax,
                    Unsupported.Contains(tag.Text) ? $"the tag '{tag.Text}' is not supported"
                        : $"unknown tag '{tag.Text}'" + (ends.Length > 0 ? $"; '{opened}' is open: expected {Quoted(ends)}" : ""),
                    tag.Position);
        }
    }

    private IfStatement ParseIf(int position)
    {
        List<(Expression, Statement[])> branches = [];
        while (true)
        {
            var test = ParseTuple(withChoice: false);
            branches.Add((test, ParseBlock("if", "elif", "else", "endif")));
            switch (Take().Text)
            {
                case "elif":
                    continue;
                case "else":
                    return new IfStatement(position, [.. branches], ParseBlock("if", "endif"));
                default:
                    return new IfStatement(position, [.. branches], null);
            }
        }
    }

    private ForStatement ParseFor(int position)
    {
        var target = ParseTarget();
        Expect("in");
        var items = ParseTuple(withChoice: false, end: "recursive");
        var test = Skip("if") ? ParseExpression() : null;
        var isRecursive = Skip("recursive");
        _loops++;
        var body = ParseBlock("for", "endfor", "else");
        _loops--;
        var otherwise = Take().Text == "else" ? ParseBlock("for", "endfor") : [];
        return new ForStatement(position, target, items, test, isRecursive, body, otherwise);
    }

    private Statement ParseSet(int position)
    {
        var target = ParseTarget(withNamespace: true);
        if (Skip("="))
        {
            return new SetStatement(position, target, ParseTuple());
        }

        var filters = ParseFilters(inTag: false);
        return new SetBlockStatement(position, target, filters, ParseBlock("set", "endset"));
    }

    private MacroStatement ParseMacro(int position)
    {
        var name = ExpectName("the name of a macro");
        _assigned.Add(name);
        var (signature, body) = ParseFunction("macro", "endmacro");
        return new MacroStatement(position, name, signature, body);
    }

    private CallBlockStatement ParseCallBlock(int position)
    {
        var signature = IsOperator("(") ? ParseSignature() : new Signature([], []);
        var call = Current.Position;
        if (ParseExpression() is not CallExpression expression)
        {
            throw _source.Error(ChatTemplateFault.Syntax, "expected a call of a macro", call);
        }

        var loops = _loops;
        _loops = 0;
        var body = ParseBlock("call", "endcall");
        _loops = loops;
        return new CallBlockStatement(position, signature, expression, body);
    }

    private ScopeStatement ParseWith(int position)
    {
        List<(Target, Expression)> values = [];
        while (Current.Kind != TokenKind.BlockEnd)
        {
            if (values.Count > 0)
            {
                Expect(",");
            }

            var target = ParseTarget();
            Expect("=");
            values.Add((target, ParseExpression()));
        }

        return new ScopeStatement(position, [.. values], ParseBlock("with", "endwith"));
    }

    private (Signature Signature, Statement[] Body) ParseFunction(string tag, string end)
    {
        var signature = ParseSignature();
        var loops = _loops;
        string[] outside = [.. _read];
        (_loops, _) = (0, _read.RemoveWhere(_ => true));
        var body = ParseBlock(tag, end);
        signature = signature with { TakesMorePositional = _read.Contains("varargs"), TakesMoreNamed = _read.Contains("kwargs") };
        _loops = loops;
        _read.UnionWith(outside);
        return (signature, body);
    }

    private Signature ParseSignature()
    {
        List<string> names = [];
        List<Expression> defaults = [];
        Expect("(");
        while (!IsOperator(")"))
        {
            if (names.Count > 0)
            {
                Expect(",");
            }

            names.Add(ExpectName("the name of a parameter"));
            _assigned.Add(names[^1]);
            if (Skip("="))
            {
                defaults.Add(ParseExpression());
            }
            else if (defaults.Count > 0)
            {
                Refuse("a parameter without a default follows one with a default");
            }
        }

        Expect(")");
        return new Signature([.. names], [.. defaults]);
    }

    private Target ParseTarget(bool withNamespace = false)
    {
        var position = Current.Position;
        var first = ParseTargetPart(withNamespace);
        if (!IsOperator(","))
        {
            return first;
        }

        List<Target> parts = [first];
        while (Skip(","))
        {
            if (Current.Kind == TokenKind.BlockEnd || IsName("in") || IsOperator(")"))
            {
                break;
            }

            parts.Add(ParseTargetPart(withNamespace: false));
        }

        return new TupleTarget(position, [.. parts]);
    }

    private Target ParseTargetPart(bool withNamespace)
    {
        var token = Current;
        if (Skip("("))
        {
            var inner = Nested(() => ParseTarget());
            Expect(")");
            return inner;
        }

        var name = ExpectName("a variable to assign to");
        if (name is "true" or "false" or "none" or "True" or "False" or "None")
        {
            _source.Refuse($"'{name}' cannot be assigned to", token.Position);
        }

        if (withNamespace && Skip("."))
        {
            return new NamespaceTarget(token.Position, name, ExpectName("the name of an attribute"));
        }

        _assigned.Add(name);
        return new NameTarget(token.Position, name);
    }
}
