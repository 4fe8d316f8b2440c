using NativeSpec.Chat.Templates.Library;
using NativeSpec.Chat.Templates.Syntax;

namespace NativeSpec.Chat.Templates;

/// <content>Expressions.</content>
internal sealed partial class Rendering
{
    /// <summary>The values that a loop or a filter goes through: a dictionary's keys, a text's characters.</summary>
    public Value[] Items(Value value)
    {
        switch (value)
        {
            case ListValue list:
                return list.Items;
            case GeneratorValue generator:
                return generator.Take();
            case DictValue dict:
                Charge(ElementRoom * (long)dict.Entries.Count);
                return [.. dict.Entries.Select(entry => entry.Key)];
            case StringValue text:
                Charge(2L * ElementRoom * text.Marked.Length);
                return [.. Texts.Characters(text)];
            case UndefinedValue:
                return [];
            default:
                throw Error($"a value of type {value.TypeName} cannot be gone through");
        }
    }

    /// <summary>Which of two values is less.</summary>
    public int Compare(string op, Value x, Value y) => Equality.Compare(x, y)
        ?? throw Error(Undefinedness(x) ?? Undefinedness(y) ?? $"'{op}' does not compare {x.TypeName} with {y.TypeName}");

    /// <summary>Whether a text, a list or a dictionary holds a value.</summary>
    public bool Contains(Value container, Value value) => container switch
    {
        StringValue text => value is StringValue part
            ? Texts.Contains(this, text.Text, part.Text)
            : throw Error(Undefinedness(value) ?? $"'in' looks for text in text, and not for {value.TypeName}"),
        DictValue dict => dict.Find(value) is not null,
        ListValue or GeneratorValue or UndefinedValue => Items(container).Any(item => Equality.Equals(item, value)),
        _ => throw Error($"'in' does not look into a value of type {container.TypeName}"),
    };

    /// <summary>x op y for arithmetic, text and lists.</summary>
    public Value Calculate(string op, Value x, Value y)
    {
        if (Numbers.Calculate(this, op, x, y) is { } number)
        {
            return number;
        }

        switch (op, x, y)
        {
            case ("+", StringValue a, StringValue b):
                return Texts.Add(this, a, b);
            case ("+", ListValue { Kind: not ListKind.Range } a, ListValue b) when a.Kind == b.Kind:
                Charge(ElementRoom * ((long)a.Items.Length + b.Items.Length));
                return new ListValue([.. a.Items, .. b.Items], a.Kind);
            case ("*", StringValue or ListValue { Kind: not ListKind.Range }, IntValue or BoolValue):
                return Texts.Repeat(this, x, ValueEquality.Whole(y));
            case ("*", IntValue or BoolValue, StringValue or ListValue { Kind: not ListKind.Range }):
                return Texts.Repeat(this, y, ValueEquality.Whole(x));
            default:
                throw Error(Undefinedness(x) ?? Undefinedness(y) ?? $"'{op}' does not take {x.TypeName} and {y.TypeName}");
        }
    }

    /// <summary>x.name, as <c>.</c> and <c>map(attribute=…)</c> look it up; undefined where there is none.</summary>
    public Value Member(Value of, string name)
    {
        RequireDefined(of);
        return Methods.Find(of, name)
            ?? of switch
            {
                NamespaceValue space => space.Members.GetValueOrDefault(name),
                LoopValue loop => loop.Member(name),
                DictValue dict => dict.Find(StringValue.OfTemplate(name)),
                _ => null,
            }
            ?? new UndefinedValue($"'{of.TypeName} object' has no attribute '{name}'");
    }

    /// <summary>x[index]; undefined where there is none.</summary>
    public Value Element(Value of, Value index)
    {
        RequireDefined(of);
        var found = (of, index) switch
        {
            (DictValue dict, _) => dict.Find(index),
            (ListValue list, IntValue or BoolValue) => Texts.Place(list.Items.Length, index) is { } place ? list.Items[place] : null,
            (StringValue text, IntValue or BoolValue) => Texts.CharacterAt(text, index),
            _ => null,
        };
        return found ?? (index is StringValue name
            ? Member(of, name.Text)
            : new UndefinedValue($"'{of.TypeName} object' has no element {Printing.Text(this, index)}"));
    }

    /// <summary>Calls a value.</summary>
    public Value Call(Value function, CallArguments arguments)
    {
        Step();
        return function switch
        {
            FunctionValue known => known.Call(this, arguments),
            LoopValue { Recurse: { } recurse } when arguments is { Count: 1, Named.Length: 0 } => recurse(arguments[0]),
            _ => throw Error(Undefinedness(function) ?? $"a value of type {function.TypeName} cannot be called"),
        };
    }

    private static string? Undefinedness(Value value) => value is UndefinedValue undefined ? undefined.Hint : null;

    /// <summary>Refuses what is undefined, with the words for what is not there.</summary>
    public void RequireDefined(Value value)
    {
        if (value is UndefinedValue undefined)
        {
            throw Error(undefined.Hint);
        }
    }

    private Value Evaluate(Expression expression, Frame frame)
    {
        At(expression.Position);
        switch (expression)
        {
            case ConstantExpression constant:
                return constant.Value;
            case NameExpression name:
                return frame.Find(name.Name) ?? Globals.Find(name.Name) ?? new UndefinedValue($"'{name.Name}' is undefined");
            case MemberExpression member:
                var of = Evaluate(member.Of, frame);
                var index = Evaluate(member.Index, frame);
                _at = member.Position;
                return member.ByDot ? Member(of, ((StringValue)index).Text) : Element(of, index);
            case SliceExpression slice:
                var (sliced, from, to, step) = (Evaluate(slice.Of, frame), EvaluateOrNull(slice.From, frame), EvaluateOrNull(slice.To, frame), EvaluateOrNull(slice.Step, frame));
                _at = slice.Position;
                return Texts.Slice(this, sliced, from, to, step);
            case CallExpression call:
                return Call(call, frame, caller: null);
            case FilterExpression filter:
                return Filtered(filter, Evaluate(filter.Of!, frame), frame);
            case TestExpression test:
                var (tested, arguments) = (Evaluate(test.Of, frame), Arguments(test.Arguments, frame));
                _at = test.Position;
                return Value.Of(Tests.Holds(this, test.Name, tested, arguments));
            case ChoiceExpression choice:
                return Evaluate(choice.Test, frame).IsTrue ? Evaluate(choice.Then, frame)
                    : choice.Else is null ? new UndefinedValue("the inline if-expression evaluated to false and no else section was defined")
                    : Evaluate(choice.Else, frame);
            case BinaryExpression { Operator: "and" } both:
                var first = Evaluate(both.Left, frame);
                return first.IsTrue ? Evaluate(both.Right, frame) : first;
            case BinaryExpression { Operator: "or" } either:
                var one = Evaluate(either.Left, frame);
                return one.IsTrue ? one : Evaluate(either.Right, frame);
            case BinaryExpression binary:
                var (left, right) = (Evaluate(binary.Left, frame), Evaluate(binary.Right, frame));
                _at = binary.Position;
                return Calculate(binary.Operator, left, right);
            case UnaryExpression unary:
                return Unary(unary, frame);
            case CompareExpression compare:
                return Value.Of(Holds(compare, frame));
            case JoinExpression join:
                return Join(join, frame);
            case ListExpression list:
                Charge(ElementRoom * (long)list.Items.Length);
                return new ListValue([.. list.Items.Select(item => Evaluate(item, frame))], list.Kind);
            case DictExpression dict:
                return Dict(dict, frame);
            default:
                throw new InvalidOperationException($"an expression {expression.GetType().Name}");
        }
    }

    private Value? EvaluateOrNull(Expression? expression, Frame frame) => expression is null ? null : Evaluate(expression, frame);

    private Value Unary(UnaryExpression unary, Frame frame)
    {
        var value = Evaluate(unary.Of, frame);
        _at = unary.Position;
        return (unary.Operator, value) switch
        {
            ("not", _) => Value.Of(!value.IsTrue),
            ("-", FloatValue number) => new FloatValue(-number.Number),
            ("-", IntValue or BoolValue) => new IntValue(-ValueEquality.Whole(value)),
            ("+", FloatValue) => value,
            ("+", IntValue or BoolValue) => new IntValue(ValueEquality.Whole(value)),
            _ => throw Error(Undefinedness(value) ?? $"'{unary.Operator}' does not take {value.TypeName}"),
        };
    }

    private bool Holds(CompareExpression compare, Frame frame)
    {
        var left = Evaluate(compare.First, frame);
        foreach (var (op, operand) in compare.Rest)
        {
            var right = Evaluate(operand, frame);
            _at = compare.Position;
            var holds = op switch
            {
                "==" => Equality.Equals(left, right),
                "!=" => !Equality.Equals(left, right),
                "in" => Contains(right, left),
                "not in" => !Contains(right, left),
                "<" => Compare(op, left, right) < 0,
                "<=" => Compare(op, left, right) <= 0,
                ">" => Compare(op, left, right) > 0,
                _ => Compare(op, left, right) >= 0,
            };
            if (!holds)
            {
                return false;
            }

            left = right;
        }

        return true;
    }

    private StringValue Join(JoinExpression join, Frame frame)
    {
        var text = new MarkedText.Builder();
        foreach (var part in join.Parts)
        {
            var value = Printing.Text(this, Evaluate(part, frame));
            Charge(value.Length);
            text.Append(value);
        }

        return new StringValue(text.Build());
    }

    private DictValue Dict(DictExpression expression, Frame frame)
    {
        var dict = new DictValue(Equality);
        foreach (var (key, value) in expression.Entries)
        {
            Charge(4 * ElementRoom);
            dict.Set(RequireKey(Evaluate(key, frame)), Evaluate(value, frame));
        }

        return dict;
    }

    private Value RequireKey(Value key) => key is StringValue or IntValue or FloatValue or BoolValue or NoneValue or ListValue { Kind: ListKind.Tuple }
        ? key
        : throw Error(Undefinedness(key) ?? $"a value of type {key.TypeName} is no key");

    private Value Call(CallExpression call, Frame frame, Value? caller)
    {
        var function = Evaluate(call.Function, frame);
        var arguments = Arguments(call.Arguments, frame);
        if (caller is not null)
        {
            arguments = arguments with { Named = [.. arguments.Named, new NamedArgument("caller", caller)] };
        }

        _at = call.Position;
        return Call(function, arguments);
    }

    private CallArguments Arguments(ArgumentList list, Frame frame)
    {
        if (list == ArgumentList.None)
        {
            return new CallArguments([], []);
        }

        List<Value> positional = [.. list.Positional.Select(argument => Evaluate(argument, frame))];
        List<NamedArgument> named = [.. list.Named.Select(argument => new NamedArgument(argument.Name, Evaluate(argument.Value, frame)))];
        if (list.List is not null)
        {
            positional.AddRange(Items(Evaluate(list.List, frame)));
        }

        if (list.Dict is not null)
        {
            var dict = Evaluate(list.Dict, frame) as DictValue ?? throw Error("'**' takes a dictionary");
            named.AddRange(dict.Entries.Select(entry => NamedArgument.Of(Printing.Text(this, entry.Key), entry.Value)));
        }

        return new CallArguments([.. positional], [.. named]);
    }

    private Value Filtered(FilterExpression filter, Value value, Frame frame)
    {
        var arguments = Arguments(filter.Arguments, frame);
        _at = filter.Position;
        Step();
        return Filters.Apply(this, filter.Name, value, arguments);
    }

    private Value Filtered(FilterExpression[] filters, Value value, Frame frame) => filters.Aggregate(value, (of, filter) => Filtered(filter, of, frame));
}
