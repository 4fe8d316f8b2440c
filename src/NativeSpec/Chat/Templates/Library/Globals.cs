using System.Numerics;

namespace NativeSpec.Chat.Templates.Library;

/// <summary>The names that every template knows.</summary>
internal static class Globals
{
    /// <summary>Most elements of a range: as many as Jinja allows to templates of others.</summary>
    private const int MaxRange = 100_000;

    private static readonly string[] Unsupported = ["lipsum", "cycler", "joiner"];

    private static readonly Dictionary<string, Value> All = new FunctionValue[]
    {
        new("range", Range),
        new("dict", (rendering, arguments) => Dict(rendering, arguments)),
        new("namespace", Namespace),
        new("raise_exception", (rendering, arguments) =>
        {
            rendering.Raise(Printing.Text(rendering, arguments.Bind(rendering, "raise_exception()", 1, "message")[0]!).Text);
            return NoneValue.Instance;
        }),
        new("strftime_now", (rendering, arguments) =>
        {
            var format = arguments.Bind(rendering, "strftime_now()", 1, "format")[0] as StringValue ?? throw rendering.Error("strftime_now() takes a format as text");
            rendering.Charge(16L * format.Marked.Length);
            var time = TimeFormat.Format(rendering, rendering.Now, format.Text);
            return new StringValue(format.Marked.IsOfTemplate(0, format.Marked.Length) ? MarkedText.OfTemplate(time) : MarkedText.OfData(time));
        }),
    }.ToDictionary(function => function.Name, Value (function) => function, StringComparer.Ordinal);

    /// <summary>Whether Jinja knows the name and this engine does not.</summary>
    public static bool IsUnsupported(string name) => Unsupported.Contains(name);

    public static Value? Find(string name) => All.GetValueOrDefault(name);

    private static ListValue Range(Rendering rendering, CallArguments arguments)
    {
        if (arguments.Named.Length > 0 || arguments.Count is < 1 or > 3)
        {
            throw rendering.Error($"range() takes 1 to 3 arguments; {arguments.Count} are given");
        }

        var numbers = arguments.Positional.Select(value => Texts.RequireWhole(rendering, value)).ToArray();
        var (start, end, step) = numbers switch
        {
            [var to] => (BigInteger.Zero, to, BigInteger.One),
            [var from, var to] => (from, to, BigInteger.One),
            _ => (numbers[0], numbers[1], numbers[2]),
        };
        if (step.IsZero)
        {
            throw rendering.Error("the step of range() is 0");
        }

        var distance = step > 0 ? end - start : start - end;
        var count = distance <= 0 ? 0 : (distance + BigInteger.Abs(step) - 1) / BigInteger.Abs(step);
        if (count > MaxRange)
        {
            throw rendering.OverLimit($"a range of more than {MaxRange} numbers");
        }

        rendering.Charge(Rendering.ElementRoom * (long)count);
        var items = new Value[(int)count];
        for (var i = 0; i < items.Length; i++, start += step)
        {
            items[i] = new IntValue(start);
        }

        return new ListValue(items, ListKind.Range)
        {
            RangeText = numbers.Length == 1 ? $"range(0, {numbers[0]})" : $"range({string.Join(", ", numbers)})",
        };
    }

    private static DictValue Dict(Rendering rendering, CallArguments arguments)
    {
        var dict = new DictValue(rendering.Equality);
        if (arguments.Count > 1)
        {
            throw rendering.Error("dict() takes one dictionary or list of pairs, and names");
        }

        foreach (var given in arguments.Positional)
        {
            var pairs = given is DictValue other ? Methods.Pairs(rendering, other) : rendering.Items(given);
            foreach (var pair in pairs)
            {
                rendering.Charge(4 * Rendering.ElementRoom);
                var parts = rendering.Items(pair);
                dict.Set(parts.Length == 2 ? parts[0] : throw rendering.Error("dict() takes pairs of a key and a value"), parts[1]);
            }
        }

        foreach (var argument in arguments.Named)
        {
            rendering.Charge(4 * Rendering.ElementRoom);
            dict.Set(argument.Text, argument.Value);
        }

        return dict;
    }

    private static NamespaceValue Namespace(Rendering rendering, CallArguments arguments)
    {
        var space = new NamespaceValue();
        foreach (var (key, value) in Dict(rendering, arguments).Entries)
        {
            space.Members[Printing.Text(rendering, key).Text] = value;
        }

        return space;
    }
}
