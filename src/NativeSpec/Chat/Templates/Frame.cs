using NativeSpec.Chat.Templates.Library;

namespace NativeSpec.Chat.Templates;

/// <summary>Variables of a block: a loop, a macro and the like have their own, and see those around them. What is set inside is gone
/// outside.</summary>
internal sealed class Frame(Frame? outer)
{
    private readonly Dictionary<string, Value> _values = new(StringComparer.Ordinal);

    public void Set(string name, Value value) => _values[name] = value;

    public Value? Find(string name)
    {
        for (var frame = this; frame is not null; frame = frame.Outer)
        {
            if (frame._values.TryGetValue(name, out var value))
            {
                return value;
            }
        }

        return null;
    }

    private Frame? Outer => outer;
}
