using NativeSpec.Chat.Templates.Library;

namespace NativeSpec.Chat.Templates.Syntax;

/// <content>What binds tightest: members, calls, filters and tests behind an operand.</content>
internal sealed partial class TemplateParser
{
    private Expression ParseMembers(Expression value)
    {
        while (true)
        {
            var token = Current;
            if (Skip("."))
            {
                var name = Take();
                Expression index = name.Kind switch
                {
                    TokenKind.Name => new ConstantExpression(name.Position, StringValue.OfTemplate(name.Text)),
                    TokenKind.Integer => new ConstantExpression(name.Position, new IntValue(ParseInteger(name))),
                    _ => throw _source.Error(ChatTemplateFault.Syntax, $"expected a name or a number behind '.', found {name.Described}", name.Position),
                };
                value = Checked(new MemberExpression(token.Position, 1 + value.Depth, value, index, ByDot: name.Kind == TokenKind.Name));
            }
            else if (IsOperator("["))
            {
                var of = value;
                value = Nested(() => ParseSubscript(of));
            }
            else if (IsOperator("("))
            {
                value = ParseCall(value);
            }
            else
            {
                return value;
            }
        }
    }

    private Expression ParseSubscript(Expression of)
    {
        var position = Current.Position;
        Expect("[");
        var from = IsOperator(":") ? null : ParseExpression();
        if (!Skip(":"))
        {
            List<Expression> indices = [from!];
            while (Skip(","))
            {
                indices.Add(ParseExpression());
            }

            Expect("]");
            var index = indices.Count == 1 ? from! : new ListExpression(position, 1 + DepthOf(indices), [.. indices], ListKind.Tuple);
            return Checked(new MemberExpression(position, 1 + Math.Max(of.Depth, index.Depth), of, index, ByDot: false));
        }

        var to = IsOperator(":") || IsOperator("]") ? null : ParseExpression();
        var step = Skip(":") && !IsOperator("]") ? ParseExpression() : null;
        Expect("]");
        return Checked(new SliceExpression(position, 1 + DepthOf([of, from, to, step]), of, from, to, step));
    }

    private CallExpression ParseCall(Expression function)
    {
        var position = Current.Position;
        if (function is MemberExpression { ByDot: true, Index: ConstantExpression { Value: StringValue name } } && Methods.IsUnsupported(name.Text))
        {
            _source.Refuse($"the method '{name.Text}' is not supported", function.Position);
        }

        var arguments = Nested(ParseArguments);
        return Checked(new CallExpression(position, 1 + Math.Max(function.Depth, arguments.Depth), function, arguments));
    }

    private ArgumentList ParseArguments()
    {
        Expect("(");
        List<Expression> positional = [];
        List<(string, Expression)> named = [];
        Expression? list = null, dict = null;
        while (!IsOperator(")"))
        {
            if (positional.Count + named.Count > 0 || list is not null || dict is not null)
            {
                Expect(",");
                if (IsOperator(")"))
                {
                    break;
                }
            }

            if (dict is null && list is null && Skip("*"))
            {
                list = ParseExpression();
            }
            else if (dict is null && Skip("**"))
            {
                dict = ParseExpression();
            }
            else if (Current.Kind == TokenKind.Name && _tokens[_at + 1] is { Kind: TokenKind.Operator, Text: "=" })
            {
                var name = Take().Text;
                _at++;
                named.Add((name, ParseExpression()));
            }
            else if (named.Count > 0 || list is not null || dict is not null)
            {
                Refuse("an argument by place follows one by name");
            }
            else
            {
                positional.Add(ParseExpression());
            }
        }

        Expect(")");
        return new ArgumentList([.. positional], [.. named], list, dict);
    }

    private Expression ParseFiltersAndTests(Expression value)
    {
        while (true)
        {
            if (IsOperator("|"))
            {
                value = ParseFilter(value);
            }
            else if (IsName("is"))
            {
                value = ParseTest(value);
            }
            else if (IsOperator("("))
            {
                value = ParseCall(value);
            }
            else
            {
                return value;
            }
        }
    }

    private FilterExpression ParseFilter(Expression? of)
    {
        var position = Current.Position;
        Expect("|");
        return ParseFilterName(of, position);
    }

    private FilterExpression ParseFilterName(Expression? of, int position)
    {
        var name = ExpectName("the name of a filter");
        while (Skip("."))
        {
            name += "." + ExpectName("the name of a filter");
        }

        if (!Filters.IsKnown(name))
        {
            _source.Refuse($"no filter is named '{name}'" + (Filters.IsJinjas(name) ? " here: it is not supported" : ""), position);
        }

        var arguments = IsOperator("(") ? Nested(ParseArguments) : ArgumentList.None;
        return Checked(new FilterExpression(position, 1 + Math.Max(of?.Depth ?? 0, arguments.Depth), of, name, arguments));
    }

    /// <summary>The filters of a tag, applied to the text of its body one after the other.</summary>
    private FilterExpression[] ParseFilters(bool inTag)
    {
        List<FilterExpression> filters = [];
        if (inTag)
        {
            filters.Add(ParseFilterName(null, Current.Position));
        }

        while (IsOperator("|"))
        {
            filters.Add(ParseFilter(null));
        }

        return [.. filters];
    }

    private Expression ParseTest(Expression of)
    {
        var position = Current.Position;
        Expect("is");
        var isNegated = Skip("not");
        var name = ExpectName("the name of a test");
        if (!Tests.IsKnown(name))
        {
            _source.Refuse($"no test is named '{name}'", position);
        }

        var arguments = ArgumentList.None;
        if (IsOperator("("))
        {
            arguments = Nested(ParseArguments);
        }
        else if (Current.Kind is TokenKind.String or TokenKind.Integer or TokenKind.Float || IsOperator("[") || IsOperator("{")
            || (Current.Kind == TokenKind.Name && Current.Text is not ("else" or "or" or "and")))
        {
            if (IsName("is"))
            {
                Refuse("tests cannot be chained with 'is'");
            }

            arguments = new ArgumentList([ParseMembers(ParsePrimary())], [], null, null);
        }

        Expression test = Checked(new TestExpression(position, 1 + Math.Max(of.Depth, arguments.Depth), of, name, arguments));
        return isNegated ? Checked(new UnaryExpression(position, 1 + test.Depth, "not", test)) : test;
    }
}
