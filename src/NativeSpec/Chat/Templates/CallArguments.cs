using NativeSpec.Chat.Templates.Library;

namespace NativeSpec.Chat.Templates;

/// <summary>The arguments of a call, evaluated.</summary>
/// <param name="Positional">By their place.</param>
/// <param name="Named">By their names, in order.</param>
internal sealed record CallArguments(Value[] Positional, NamedArgument[] Named)
{
    public int Count => Positional.Length;

    public Value this[int index] => Positional[index];

    /// <summary>The arguments after the first ones. They are a list of their own, which counts as one: a filter may hand its arguments to the next, and that to the next.</summary>
    public CallArguments After(Rendering rendering, int count)
    {
        rendering.Charge(Rendering.ElementRoom * (long)(Positional.Length - count));
        return new CallArguments(Positional[count..], Named);
    }

    /// <summary>The arguments in the order of the parameters; null for those that are not given.</summary>
    /// <param name="rendering">Whose call it is.</param>
    /// <param name="function">The function's name, for messages.</param>
    /// <param name="required">How many parameters must be given, from the first on.</param>
    /// <param name="parameters">The parameters' names.</param>
    public Value?[] Bind(Rendering rendering, string function, int required, params ReadOnlySpan<string> parameters)
    {
        if (Positional.Length > parameters.Length)
        {
            throw rendering.Error($"{function} takes at most {parameters.Length} arguments; {Positional.Length} are given");
        }

        var bound = new Value?[parameters.Length];
        Positional.CopyTo(bound, 0);
        foreach (var (name, value) in Named)
        {
            var place = parameters.IndexOf(name);
            if (place < 0 || bound[place] is not null)
            {
                throw rendering.Error(place < 0 ? $"{function} has no parameter '{name}'" : $"{function} is given '{name}' twice");
            }

            bound[place] = value;
        }

        for (var i = 0; i < required; i++)
        {
            if (bound[i] is null)
            {
                throw rendering.Error($"{function} needs the argument '{parameters[i]}'");
            }
        }

        return bound;
    }
}

/// <summary>An argument that is given by its name.</summary>
/// <param name="Key">The name.</param>
/// <param name="Value">The argument.</param>
internal readonly record struct NamedArgument(string Key, Value Value)
{
    private readonly MarkedText? _text;

    private NamedArgument(MarkedText text, Value value)
        : this(text.Text, value) => _text = text;

    /// <summary>The name as text that knows where it comes from: <c>**x</c> hands over the keys of data.</summary>
    public StringValue Text => new(_text ?? MarkedText.OfTemplate(Key));

    public static NamedArgument Of(MarkedText text, Value value) => new(text, value);
}
