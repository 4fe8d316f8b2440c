using System.Globalization;
using System.Numerics;
using System.Text.Json;
using NativeSpec.Chat.Templates.Library;
using NativeSpec.Chat.Templates.Syntax;

namespace NativeSpec.Chat.Templates;

/// <summary>JSON as values of a template. Its texts are marked as data; the order of members stays, and 1 and 1.0 stay what they are.</summary>
internal sealed class JsonValues(TemplateSource source)
{
    /// <summary>Characters and elements so far.</summary>
    public long Size { get; private set; }

    /// <exception cref="ChatTemplateException">The data lies deeper in one another than templates can print.</exception>
    public Value Read(JsonElement json, int depth = 0)
    {
        if (depth > Printing.MaxDepth)
        {
            throw source.Error(ChatTemplateFault.Limit, $"the data given lies more than {Printing.MaxDepth} deep in one another", 0);
        }

        Size += 2;
        switch (json.ValueKind)
        {
            case JsonValueKind.Object:
                var dict = new DictValue(ValueEquality.OfData);
                foreach (var member in json.EnumerateObject())
                {
                    dict.Set(Text(member.Name), Read(member.Value, depth + 1));
                }

                return dict;
            case JsonValueKind.Array:
                return new ListValue([.. json.EnumerateArray().Select(item => Read(item, depth + 1))]);
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
