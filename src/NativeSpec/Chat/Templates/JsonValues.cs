using System.Globalization;
using System.Numerics;
using System.Text.Json;
using NativeSpec.Chat.Templates.Library;

namespace NativeSpec.Chat.Templates;

/// <summary>JSON as values of a template. Its texts are marked as data; the order of members stays, and 1 and 1.0 stay what they are.</summary>
internal sealed class JsonValues
{
    /// <summary>Characters and elements so far.</summary>
    public long Size { get; private set; }

    public Value Read(JsonElement json)
    {
        Size += 2;
        switch (json.ValueKind)
        {
            case JsonValueKind.Object:
                var dict = new DictValue();
                foreach (var member in json.EnumerateObject())
                {
                    dict.Set(Text(member.Name), Read(member.Value));
                }

                return dict;
            case JsonValueKind.Array:
                return new ListValue([.. json.EnumerateArray().Select(Read)]);
            case JsonValueKind.String:
                return Text(json.GetString()!);
            case JsonValueKind.Number:
                return Number(json.GetRawText());
            case JsonValueKind.True:
                return BoolValue.True;
            case JsonValueKind.False:
                return BoolValue.False;
            default:
                return NoneValue.Instance;
        }
    }

    private StringValue Text(string text)
    {
        Size += text.Length;
        return new StringValue(MarkedText.OfData(text));
    }

    private static Value Number(string text) => text.AsSpan().ContainsAny('.', 'e', 'E') || text.Length > Numbers.MaxDigits
        ? new FloatValue(double.Parse(text, CultureInfo.InvariantCulture))
        : new IntValue(BigInteger.Parse(text, CultureInfo.InvariantCulture));
}
