using System.Globalization;
using System.Text;

namespace NativeSpec.Chat.Templates.Library;

/// <summary>Values as text: as Python's str and repr write them, and as JSON. Text inside keeps its marks; what stands around it is the template's.</summary>
internal static class Printing
{
    /// <summary>How deep values may lie in one another to be printed.</summary>
    public const int MaxDepth = 100;

    /// <summary>str(x)</summary>
    public static MarkedText Text(Rendering rendering, Value value)
    {
        if (value is StringValue text)
        {
            return text.Marked;
        }

        var builder = new MarkedText.Builder();
        if (value is not UndefinedValue)
        {
            WriteRepr(rendering, builder, value, 0);
        }

        return builder.Build();
    }

    /// <summary>JSON, as Python's json.dumps writes it.</summary>
    public static MarkedText Json(Rendering rendering, Value value, JsonStyle style)
    {
        var builder = new MarkedText.Builder();
        WriteJson(rendering, builder, value, style, 0);
        return builder.Build();
    }

    private static void Write(Rendering rendering, MarkedText.Builder to, string text)
    {
        rendering.Charge(text.Length);
        to.Append(text, ofTemplate: true);
    }

    private static void Write(Rendering rendering, MarkedText.Builder to, MarkedText text)
    {
        rendering.Charge(text.Length);
        to.Append(text);
    }

    private static void Enter(Rendering rendering, int depth)
    {
        rendering.Step();
        rendering.Charge(Rendering.ElementRoom);
        if (depth > MaxDepth)
        {
            throw rendering.OverLimit($"values that lie more than {MaxDepth} deep in one another");
        }
    }

    private static void WriteRepr(Rendering rendering, MarkedText.Builder to, Value value, int depth)
    {
        Enter(rendering, depth);
        switch (value)
        {
            case StringValue text:
                rendering.Charge(text.Marked.Length);
                Write(rendering, to, text.IsMarkup ? "Markup(" : "");
                WriteQuoted(rendering, to, text.Marked);
                Write(rendering, to, text.IsMarkup ? ")" : "");
                break;
            case ListValue { Kind: ListKind.Range } range:
                Write(rendering, to, range.RangeText!);
                break;
            case ListValue list:
                Write(rendering, to, list.Kind == ListKind.List ? "[" : "(");
                for (var i = 0; i < list.Items.Length; i++)
                {
                    Write(rendering, to, i > 0 ? ", " : "");
                    WriteRepr(rendering, to, list.Items[i], depth + 1);
                }

                Write(rendering, to, list.Kind == ListKind.List ? "]" : list.Items.Length == 1 ? ",)" : ")");
                break;
            case DictValue dict:
                Write(rendering, to, "{");
                for (var i = 0; i < dict.Entries.Count; i++)
                {
                    Write(rendering, to, i > 0 ? ", " : "");
                    WriteRepr(rendering, to, dict.Entries[i].Key, depth + 1);
                    Write(rendering, to, ": ");
                    WriteRepr(rendering, to, dict.Entries[i].Value, depth + 1);
                }

                Write(rendering, to, "}");
                break;
            default:
                Write(rendering, to, value switch
                {
                    UndefinedValue => "Undefined",
                    NoneValue => "None",
                    BoolValue => value.IsTrue ? "True" : "False",
                    IntValue number => number.Number.ToString(CultureInfo.InvariantCulture),
                    FloatValue number => Numbers.Print(number.Number),
                    FunctionValue function => $"<{function.TypeName} '{function.Name}'>",
                    _ => $"<{value.TypeName}>",
                });
                break;
        }
    }

    private static void WriteQuoted(Rendering rendering, MarkedText.Builder to, MarkedText text)
    {
        var quote = text.Text.Contains('\'') && !text.Text.Contains('"') ? '"' : '\'';
        Write(rendering, to, quote.ToString());
        WriteEscaped(rendering, to, text, rune => rune.Value switch
        {
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            _ when rune.Value == quote => "\\" + quote,
            _ when IsPrintable(rune) => null,
            < 0x100 => string.Create(CultureInfo.InvariantCulture, $"\\x{rune.Value:x2}"),
            < 0x10000 => string.Create(CultureInfo.InvariantCulture, $"\\u{rune.Value:x4}"),
            _ => string.Create(CultureInfo.InvariantCulture, $"\\U{rune.Value:x8}"),
        });
        Write(rendering, to, quote.ToString());
    }

    private static bool IsPrintable(Rune rune) => rune.Value == ' ' || Rune.GetUnicodeCategory(rune) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);

    /// <summary>Writes text, and for each character that has an escape that instead.</summary>
    private static void WriteEscaped(Rendering rendering, MarkedText.Builder to, MarkedText text, Func<Rune, string?> escape)
    {
        var written = 0;
        for (var i = 0; i < text.Length;)
        {
            var isRune = Rune.TryGetRuneAt(text.Text, i, out var rune);
            var length = isRune ? rune.Utf16SequenceLength : 1; // a lone surrogate stays as it is
            if (isRune && escape(rune) is { } escaped)
            {
                to.Append(text, written, i - written);
                Write(rendering, to, escaped);
                written = i + length;
            }

            i += length;
        }

        to.Append(text, written, text.Length - written);
    }

    private static void WriteJson(Rendering rendering, MarkedText.Builder to, Value value, JsonStyle style, int depth)
    {
        Enter(rendering, depth);
        switch (value)
        {
            case StringValue text:
                WriteJsonString(rendering, to, text.Marked, style);
                break;
            case ListValue { Kind: not ListKind.Range } list:
                WriteItems(rendering, to, style, depth, '[', ']', list.Items.Length, i => WriteJson(rendering, to, list.Items[i], style, depth + 1));
                break;
            case DictValue dict:
                IReadOnlyList<KeyValuePair<Value, Value>> entries = style.SortKeys ? Sorted(rendering, dict) : dict.Entries;
                WriteItems(rendering, to, style, depth, '{', '}', entries.Count, i =>
                {
                    WriteJsonString(rendering, to, JsonKey(rendering, entries[i].Key), style);
                    Write(rendering, to, style.Colon);
                    WriteJson(rendering, to, entries[i].Value, style, depth + 1);
                });
                break;
            default:
                Write(rendering, to, JsonWord(value) ?? throw rendering.Error($"a value of type {value.TypeName} has no JSON"));
                break;
        }
    }

    private static KeyValuePair<Value, Value>[] Sorted(Rendering rendering, DictValue dict) =>
        Sorting.Order(dict.Entries, entry => entry.Key, Comparer<Value>.Create((a, b) => rendering.Compare("<", a, b)));

    private static string? JsonWord(Value value) => value switch
    {
        NoneValue => "null",
        BoolValue => value.IsTrue ? "true" : "false",
        IntValue number => number.Number.ToString(CultureInfo.InvariantCulture),
        FloatValue { Number: var number } => double.IsFinite(number) ? Numbers.Print(number) : double.IsNaN(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity",
        _ => null,
    };

    private static MarkedText JsonKey(Rendering rendering, Value key) => key is StringValue text
        ? text.Marked
        : MarkedText.OfTemplate(JsonWord(key) ?? throw rendering.Error($"a key of type {key.TypeName} has no JSON"));

    private static void WriteItems(Rendering rendering, MarkedText.Builder to, JsonStyle style, int depth, char open, char close, int count, Action<int> write)
    {
        Write(rendering, to, open.ToString());
        for (var i = 0; i < count; i++)
        {
            Write(rendering, to, i > 0 ? style.Comma : MarkedText.Empty);
            WriteLine(depth + 1);
            write(i);
        }

        if (count > 0)
        {
            WriteLine(depth);
        }

        Write(rendering, to, close.ToString());

        void WriteLine(int level)
        {
            if (style.Indent is not { } indent)
            {
                return;
            }

            rendering.Charge(1 + ((long)indent.Length * level));
            to.Append('\n', ofTemplate: true);
            for (; level > 0; level--)
            {
                to.Append(indent);
            }
        }
    }

    private static void WriteJsonString(Rendering rendering, MarkedText.Builder to, MarkedText text, JsonStyle style)
    {
        rendering.Charge(text.Length);
        Write(rendering, to, "\"");
        WriteEscaped(rendering, to, text, rune => rune.Value switch
        {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\b' => "\\b",
            '\f' => "\\f",
            < ' ' => string.Create(CultureInfo.InvariantCulture, $"\\u{rune.Value:x4}"),
            > '~' when style.EnsureAscii => string.Concat(rune.ToString().Select(unit => string.Create(CultureInfo.InvariantCulture, $"\\u{(int)unit:x4}"))),
            _ => null,
        });
        Write(rendering, to, "\"");
    }
}

/// <summary>How JSON is written: the parameters of json.dumps.</summary>
/// <param name="Indent">What a level is indented by; null writes one line.</param>
/// <param name="Comma">What stands between items.</param>
/// <param name="Colon">What stands between key and value.</param>
/// <param name="SortKeys">Whether keys are sorted.</param>
/// <param name="EnsureAscii">Whether other characters than ASCII are escaped.</param>
internal sealed record JsonStyle(MarkedText? Indent, MarkedText Comma, MarkedText Colon, bool SortKeys, bool EnsureAscii);
