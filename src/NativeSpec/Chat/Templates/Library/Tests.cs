namespace NativeSpec.Chat.Templates.Library;

/// <summary>The tests of Jinja: <c>x is …</c></summary>
internal static class Tests
{
    private delegate bool Test(Rendering rendering, Value value, CallArguments arguments);

    private static readonly Dictionary<string, Test> All = new(StringComparer.Ordinal)
    {
        ["defined"] = Of(value => value is not UndefinedValue),
        ["undefined"] = Of(value => value is UndefinedValue),
        ["none"] = Of(value => value is NoneValue),
        ["boolean"] = Of(value => value is BoolValue),
        ["true"] = Of(value => value is BoolValue && value.IsTrue),
        ["false"] = Of(value => value is BoolValue && !value.IsTrue),
        ["integer"] = Of(value => value is IntValue),
        ["float"] = Of(value => value is FloatValue),
        ["number"] = Of(value => value is IntValue or FloatValue or BoolValue),
        ["string"] = Of(value => value is StringValue),
        ["mapping"] = Of(value => value is DictValue),
        ["sequence"] = Of(value => value is StringValue or ListValue or DictValue or UndefinedValue),
        ["iterable"] = Of(value => value is StringValue or ListValue or DictValue or GeneratorValue or LoopValue or UndefinedValue),
        ["callable"] = Of(value => value is FunctionValue or LoopValue or UndefinedValue),
        ["escaped"] = Of(value => value is StringValue { IsMarkup: true }),
        ["lower"] = (r, value, args) => Cased(r, value, args, char.IsLower, char.IsUpper),
        ["upper"] = (r, value, args) => Cased(r, value, args, char.IsUpper, char.IsLower),
        ["odd"] = (r, value, args) => IsRemainder(r, value, args, "odd", 1),
        ["even"] = (r, value, args) => IsRemainder(r, value, args, "even", 0),
        ["divisibleby"] = (r, value, args) => r.Calculate("%", value, One(r, args, "divisibleby")) is var rest && !rest.IsTrue,
        ["eq"] = Equal,
        ["equalto"] = Equal,
        ["=="] = Equal,
        ["ne"] = (r, value, args) => !Equal(r, value, args),
        ["!="] = (r, value, args) => !Equal(r, value, args),
        ["lt"] = Compared("<", order => order < 0),
        ["lessthan"] = Compared("<", order => order < 0),
        ["<"] = Compared("<", order => order < 0),
        ["le"] = Compared("<=", order => order <= 0),
        ["<="] = Compared("<=", order => order <= 0),
        ["gt"] = Compared(">", order => order > 0),
        ["greaterthan"] = Compared(">", order => order > 0),
        [">"] = Compared(">", order => order > 0),
        ["ge"] = Compared(">=", order => order >= 0),
        [">="] = Compared(">=", order => order >= 0),
        ["in"] = (r, value, args) => r.Contains(One(r, args, "in"), value),
        ["sameas"] = (r, value, args) => One(r, args, "sameas") is var other
            && (ReferenceEquals(value, other) || (value.TypeName == other.TypeName && value is StringValue or IntValue or FloatValue && r.Equality.Equals(value, other))),
        ["filter"] = Of(value => value is StringValue name && (Filters.IsKnown(name.Text) || Filters.IsJinjas(name.Text))),
        ["test"] = Of(value => value is StringValue name && IsKnown(name.Text)),
    };

    public static bool IsKnown(string name) => All.ContainsKey(name);

    public static bool Holds(Rendering rendering, string name, Value value, CallArguments arguments) => All[name](rendering, value, arguments);

    private static Test Of(Func<Value, bool> holds) => (rendering, value, arguments) =>
    {
        With(rendering, arguments, "the test");
        return holds(value);
    };

    private static int With(Rendering rendering, CallArguments arguments, string name) => arguments.Bind(rendering, name, 0).Length;

    private static Value One(Rendering rendering, CallArguments arguments, string name) => arguments.Bind(rendering, name, 1, "other")[0]!;

    private static bool Equal(Rendering rendering, Value value, CallArguments arguments) => rendering.Equality.Equals(value, One(rendering, arguments, "eq"));

    private static Test Compared(string op, Func<int, bool> holds) => (rendering, value, arguments) => holds(rendering.Compare(op, value, One(rendering, arguments, op)));

    private static bool IsRemainder(Rendering rendering, Value value, CallArguments arguments, string name, int rest)
    {
        With(rendering, arguments, name);
        return rendering.Equality.Equals(rendering.Calculate("%", value, Value.Of(2)), Value.Of(rest));
    }

    private static bool Cased(Rendering rendering, Value value, CallArguments arguments, Func<char, bool> wanted, Func<char, bool> other)
    {
        With(rendering, arguments, "the test");
        var text = Printing.Text(rendering, value).Text;
        return text.Any(wanted) && !text.Any(other);
    }
}
