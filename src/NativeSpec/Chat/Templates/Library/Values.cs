using System.Numerics;

namespace NativeSpec.Chat.Templates.Library;

/// <summary>A value of a template. These types are all that there is: a template reaches no object of .NET and changes none of what it was
/// given.</summary>
internal abstract class Value
{
    /// <summary>Python's name of the type, for messages.</summary>
    public abstract string TypeName { get; }

    /// <summary>Whether it counts as true.</summary>
    public virtual bool IsTrue => true;

    public static Value Of(bool value) => value ? BoolValue.True : BoolValue.False;

    public static Value Of(BigInteger value) => new IntValue(value);
}

/// <summary>What a name stands for that nobody gave a value: it prints as nothing, and most that is done with it is an error.</summary>
/// <param name="hint">What is not there, for the message of that error.</param>
internal sealed class UndefinedValue(string hint) : Value
{
    public string Hint => hint;

    public override string TypeName => "Undefined";

    public override bool IsTrue => false;
}

/// <summary>none</summary>
internal sealed class NoneValue : Value
{
    public static readonly NoneValue Instance = new();

    public override string TypeName => "NoneType";

    public override bool IsTrue => false;
}

/// <summary>true or false</summary>
internal sealed class BoolValue(bool value) : Value
{
    public static readonly BoolValue True = new(true);
    public static readonly BoolValue False = new(false);

    public override string TypeName => "bool";

    public override bool IsTrue => value;
}

/// <summary>A whole number.</summary>
internal sealed class IntValue(BigInteger value) : Value
{
    public BigInteger Number => value;

    public override string TypeName => "int";

    public override bool IsTrue => !value.IsZero;
}

/// <summary>A floating-point number.</summary>
internal sealed class FloatValue(double value) : Value
{
    public double Number => value;

    public override string TypeName => "float";

    public override bool IsTrue => value != 0;
}

/// <summary>Text.</summary>
/// <param name="text">The text.</param>
/// <param name="isMarkup">Whether it went through <c>safe</c> or <c>escape</c>: other text that is added to it is escaped for HTML, in Jinja and so here.</param>
internal sealed class StringValue(MarkedText text, bool isMarkup = false) : Value
{
    public bool IsMarkup => isMarkup;

    public MarkedText Marked => text;

    public string Text => text.Text;

    public override string TypeName => "str";

    public override bool IsTrue => text.Length > 0;

    public static StringValue OfTemplate(string text) => new(MarkedText.OfTemplate(text));
}

/// <summary>Values in order: a list, a tuple or a range.</summary>
internal sealed class ListValue(Value[] items, ListKind kind = ListKind.List) : Value
{
    public Value[] Items => items;

    public ListKind Kind => kind;

    /// <summary>How a range was written, which is how it prints.</summary>
    public string? RangeText { get; init; }

    public override string TypeName => kind switch { ListKind.List => "list", ListKind.Tuple => "tuple", _ => "range" };

    public override bool IsTrue => items.Length > 0;
}

/// <summary>Kinds of <see cref="ListValue"/>.</summary>
internal enum ListKind
{
    /// <summary>[…]</summary>
    List,
    /// <summary>(…)</summary>
    Tuple,
    /// <summary>range(…)</summary>
    Range,
}

/// <summary>What a filter such as <c>map</c> gives: values that are gone through once, without a length and without places.</summary>
internal sealed class GeneratorValue(Value[] items, string typeName = "generator") : Value
{
    private Value[] _rest = items;

    public override string TypeName => typeName;

    public Value[] Take()
    {
        var rest = _rest;
        _rest = [];
        return rest;
    }

    /// <summary>The first that is left, and takes it; null where none is.</summary>
    public Value? Next()
    {
        if (_rest.Length == 0)
        {
            return null;
        }

        var first = _rest[0];
        _rest = _rest[1..];
        return first;
    }
}

/// <summary>Keys and values, in the order in which the keys came.</summary>
/// <param name="equality">How its keys are compared.</param>
internal sealed class DictValue(ValueEquality equality) : Value
{
    private readonly Dictionary<Value, int> _places = new(equality);
    private readonly List<KeyValuePair<Value, Value>> _entries = [];

    public IReadOnlyList<KeyValuePair<Value, Value>> Entries => _entries;

    public override string TypeName => "dict";

    public override bool IsTrue => _entries.Count > 0;

    /// <summary>Sets a value; only while the dictionary is made. A key that is there stays where it is.</summary>
    public void Set(Value key, Value value)
    {
        if (_places.TryGetValue(key, out var place))
        {
            _entries[place] = new(_entries[place].Key, value);
        }
        else
        {
            _places.Add(key, _entries.Count);
            _entries.Add(new(key, value));
        }
    }

    public Value? Find(Value key) => _places.TryGetValue(key, out var place) ? _entries[place].Value : null;
}

/// <summary>namespace(…): the one thing that a template can change.</summary>
internal sealed class NamespaceValue : Value
{
    public Dictionary<string, Value> Members { get; } = new(StringComparer.Ordinal);

    public override string TypeName => "Namespace";
}

/// <summary>Something that can be called.</summary>
internal sealed class FunctionValue(string name, Func<Rendering, CallArguments, Value> call, string typeName = "function") : Value
{
    public string Name => name;

    public override string TypeName => typeName;

    public Value Call(Rendering rendering, CallArguments arguments) => call(rendering, arguments);
}

/// <summary><c>loop</c> inside a loop.</summary>
/// <param name="items">What is gone through.</param>
/// <param name="depth">Recursive loops around it.</param>
/// <param name="recurse">Goes through other values in the same way; null where the loop does not say that it is recursive.</param>
internal sealed class LoopValue(Value[] items, int depth, Func<Value, Value>? recurse) : Value
{
    private Value[]? _changed;

    public int Depth => depth;

    public Func<Value, Value>? Recurse => recurse;

    public int Index { get; set; }

    public override string TypeName => "LoopContext";

    public Value? Member(string name) => name switch
    {
        "index" => Of(Index + 1),
        "index0" => Of(Index),
        "revindex" => Of(items.Length - Index),
        "revindex0" => Of(items.Length - Index - 1),
        "first" => Of(Index == 0),
        "last" => Of(Index == items.Length - 1),
        "length" => Of(items.Length),
        "depth" => Of(depth + 1),
        "depth0" => Of(depth),
        "previtem" => Index > 0 ? items[Index - 1] : null,
        "nextitem" => Index + 1 < items.Length ? items[Index + 1] : null,
        "cycle" => new FunctionValue(name, (rendering, arguments) => arguments.Count > 0
            ? arguments[Index % arguments.Count]
            : throw rendering.Error("loop.cycle() takes values to choose from")),
        "changed" => new FunctionValue(name, (rendering, arguments) => Of(Changed(arguments.Positional, rendering.Equality))),
        _ => null,
    };

    private bool Changed(Value[] values, ValueEquality equality)
    {
        var changed = _changed is null || !_changed.SequenceEqual(values, equality);
        _changed = values;
        return changed;
    }
}
