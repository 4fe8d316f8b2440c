using System.Globalization;
using System.Numerics;
using NativeSpec.Chat.Templates.Library;

namespace NativeSpec.Chat.Templates.Syntax;

/// <content>Expressions, the loosest binding first: choice, or, and, not, comparison, + -, ~, * / // %, **, sign, then members, calls, filters and
/// tests.</content>
internal sealed partial class TemplateParser
{
    /// <summary>How deep an expression may be nested, a long sum's operands counted: as deep as it is evaluated.</summary>
    private const int MaxDepth = 300;

    private static readonly string[] Comparisons = ["==", "!=", "<", "<=", ">", ">="];

    /// <summary>One expression, or a tuple of several without brackets.</summary>
    /// <param name="withChoice">Whether <c>a if b else c</c> may be one of them; else <c>if</c> ends it.</param>
    /// <param name="end">A name that ends it.</param>
    /// <param name="inBrackets">Whether no expression is the empty tuple.</param>
    private Expression ParseTuple(bool withChoice = true, string? end = null, bool inBrackets = false)
    {
        var position = Current.Position;
        List<Expression> items = [];
        var isTuple = false;
        while (true)
        {
            if (items.Count > 0)
            {
                Expect(",");
            }

            if (Current.Kind is TokenKind.PrintEnd or TokenKind.BlockEnd || IsOperator(")") || (end is not null && IsName(end)))
            {
                break;
            }

            items.Add(withChoice ? ParseExpression() : ParseOr());
            if (!IsOperator(","))
            {
                break;
            }

            isTuple = true;
        }

        if (!isTuple && items.Count == 1)
        {
            return items[0];
        }

        if (items.Count == 0 && !inBrackets)
        {
            Refuse($"expected an expression, found {Current.Described}");
        }

        return Checked(new ListExpression(position, 1 + DepthOf(items), [.. items], ListKind.Tuple));
    }

    private static int DepthOf(IEnumerable<Expression?> expressions) => expressions.Max(expression => expression?.Depth) ?? 0;

    private T Checked<T>(T expression)
        where T : Expression
        => expression.Depth <= MaxDepth
            ? expression
            : throw _source.Error(ChatTemplateFault.Limit, $"an expression of more than {MaxDepth} operations in a row", expression.Position);

    private Expression ParseExpression() => Nested(ParseChoice);

    private Expression ParseChoice()
    {
        var position = Current.Position;
        var value = ParseOr();
        while (Skip("if"))
        {
            var test = ParseOr();
            var otherwise = Skip("else") ? Nested(ParseChoice) : null;
            value = Checked(new ChoiceExpression(position, 1 + DepthOf([value, test, otherwise]), test, value, otherwise));
        }

        return value;
    }

    private Expression ParseOr() => ParseBinary(ParseAnd, "or");

    private Expression ParseAnd() => ParseBinary(ParseNot, "and");

    private Expression ParseNot()
    {
        var position = Current.Position;
        if (!Skip("not"))
        {
            return ParseComparison();
        }

        var of = Nested(ParseNot);
        return Checked(new UnaryExpression(position, 1 + of.Depth, "not", of));
    }

    private Expression ParseComparison()
    {
        var position = Current.Position;
        var first = ParseSum();
        List<(string, Expression)> rest = [];
        while (true)
        {
            var op = Current.Text;
            if (Current.Kind == TokenKind.Operator && Comparisons.Contains(op))
            {
                _at++;
            }
            else if (IsName("not") && _tokens[_at + 1] is { Kind: TokenKind.Name, Text: "in" })
            {
                (_at, op) = (_at + 2, "not in");
            }
            else if (!Skip("in"))
            {
                break;
            }

            rest.Add((op, ParseSum()));
        }

        return rest.Count == 0
            ? first
            : Checked(new CompareExpression(position, 1 + DepthOf(rest.Select(pair => pair.Item2).Append(first)), first, [.. rest]));
    }

    private Expression ParseSum() => ParseBinary(ParseJoin, "+", "-");

    private Expression ParseJoin()
    {
        var position = Current.Position;
        var first = ParseProduct();
        if (!IsOperator("~"))
        {
            return first;
        }

        List<Expression> parts = [first];
        while (Skip("~"))
        {
            parts.Add(ParseProduct());
        }

        return Checked(new JoinExpression(position, 1 + DepthOf(parts), [.. parts]));
    }

    private Expression ParseProduct() => ParseBinary(ParsePower, "*", "/", "//", "%");

    private Expression ParsePower() => ParseBinary(() => ParseSigned(withFilters: true), "**");

    private Expression ParseBinary(Func<Expression> parseOperand, params string[] operators)
    {
        var position = Current.Position;
        var left = parseOperand();
        while (Current.Kind is TokenKind.Operator or TokenKind.Name && operators.Contains(Current.Text))
        {
            var op = Take().Text;
            var right = parseOperand();
            left = Checked(new BinaryExpression(position, 1 + Math.Max(left.Depth, right.Depth), op, left, right));
        }

        return left;
    }

    private Expression ParseSigned(bool withFilters)
    {
        var position = Current.Position;
        Expression value;
        if (IsOperator("-") || IsOperator("+"))
        {
            var sign = Take().Text;
            var of = Nested(() => ParseSigned(withFilters: false));
            value = Checked(new UnaryExpression(position, 1 + of.Depth, sign, of));
        }
        else
        {
            value = ParsePrimary();
        }

        value = ParseMembers(value);
        return withFilters ? ParseFiltersAndTests(value) : value;
    }

    private Expression ParsePrimary()
    {
        var token = Current;
        switch (token.Kind)
        {
            case TokenKind.Name:
                _at++;
                return token.Text switch
                {
                    "true" or "True" => new ConstantExpression(token.Position, BoolValue.True),
                    "false" or "False" => new ConstantExpression(token.Position, BoolValue.False),
                    "none" or "None" => new ConstantExpression(token.Position, NoneValue.Instance),
                    _ => Name(token),
                };
            case TokenKind.String:
                var text = Take().Text;
                while (Current.Kind == TokenKind.String)
                {
                    text += Take().Text;
                }

                return new ConstantExpression(token.Position, StringValue.OfTemplate(text));
            case TokenKind.Integer:
                _at++;
                return new ConstantExpression(token.Position, new IntValue(ParseInteger(token)));
            case TokenKind.Float:
                _at++;
                return new ConstantExpression(token.Position, new FloatValue(double.Parse(token.Text.Replace("_", "", StringComparison.Ordinal), CultureInfo.InvariantCulture)));
            default:
                if (Skip("("))
                {
                    var inner = Nested(() => ParseTuple(inBrackets: true));
                    Expect(")");
                    return inner;
                }

                return IsOperator("[") ? Nested(ParseList) : IsOperator("{") ? Nested(ParseDict)
                    : throw _source.Error(ChatTemplateFault.Syntax, $"expected an expression, found {token.Described}", token.Position);
        }
    }

    private NameExpression Name(TemplateToken token)
    {
        var name = new NameExpression(token.Position, token.Text);
        _read.Add(token.Text);
        if (Globals.IsUnsupported(token.Text))
        {
            _unsupportedNames.Add(name);
        }

        return name;
    }

    private BigInteger ParseInteger(TemplateToken token)
    {
        var digits = token.Text.Replace("_", "", StringComparison.Ordinal);
        if (digits.Length > Numbers.MaxDigits)
        {
            throw _source.Error(ChatTemplateFault.Limit, $"a number of {digits.Length} digits; the most is {Numbers.MaxDigits}", token.Position);
        }

        var radix = digits.Length < 3 ? 10 : char.ToLowerInvariant(digits[1]) switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => 10 };
        if (radix == 10)
        {
            return BigInteger.Parse(digits, CultureInfo.InvariantCulture);
        }

        BigInteger value = 0;
        foreach (var digit in digits.AsSpan(2))
        {
            var worth = char.IsAsciiHexDigit(digit) ? Convert.ToInt32(digit.ToString(), 16) : 16;
            if (worth >= radix)
            {
                _source.Refuse($"'{digit}' is no digit of {digits}", token.Position);
            }

            value = (value * radix) + worth;
        }

        return value;
    }

    private ListExpression ParseList()
    {
        var position = Current.Position;
        Expect("[");
        List<Expression> items = [];
        while (!IsOperator("]"))
        {
            if (items.Count > 0)
            {
                Expect(",");
                if (IsOperator("]"))
                {
                    break;
                }
            }

            items.Add(ParseExpression());
        }

        Expect("]");
        return Checked(new ListExpression(position, 1 + DepthOf(items), [.. items], ListKind.List));
    }

    private DictExpression ParseDict()
    {
        var position = Current.Position;
        Expect("{");
        List<(Expression, Expression)> entries = [];
        while (!IsOperator("}"))
        {
            if (entries.Count > 0)
            {
                Expect(",");
                if (IsOperator("}"))
                {
                    break;
                }
            }

            var key = ParseExpression();
            Expect(":");
            entries.Add((key, ParseExpression()));
        }

        Expect("}");
        return Checked(new DictExpression(position, 1 + DepthOf(entries.SelectMany(entry => new[] { entry.Item1, entry.Item2 })), [.. entries]));
    }
}
