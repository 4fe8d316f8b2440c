using System.Buffers;
using System.Numerics;
using NativeSpec.Chat.Templates.Syntax;

namespace NativeSpec.Chat.Templates.Library;

/// <summary>The methods that values have: Python's, as far as templates use them and they change nothing.</summary>
internal static class Methods
{
    private delegate Value Method(Rendering rendering, Value self, CallArguments arguments);

    /// <summary>Methods of Python's text that are not here; a template that calls one is refused when it is read.</summary>
    private static readonly HashSet<string> Unsupported =
    [
        "format", "format_map", "encode", "translate", "maketrans", "expandtabs", "casefold", "swapcase", "isidentifier", "isprintable", "isascii",
        "isdecimal", "isnumeric", "istitle", "isalnum", "fromkeys",
    ];

    private static readonly SearchValues<char> LineEnds = SearchValues.Create("\n\r\v\f\u001c\u001d\u001e\u0085\u2028\u2029");

    private static readonly Dictionary<string, Method> OfText = new(StringComparer.Ordinal)
    {
        ["strip"] = (r, self, args) => Strip(r, self, args, "strip", true, true),
        ["lstrip"] = (r, self, args) => Strip(r, self, args, "lstrip", true, false),
        ["rstrip"] = (r, self, args) => Strip(r, self, args, "rstrip", false, true),
        ["split"] = (r, self, args) => Split(r, self, args, "split", fromRight: false),
        ["rsplit"] = (r, self, args) => Split(r, self, args, "rsplit", fromRight: true),
        ["splitlines"] = SplitLines,
        ["startswith"] = (r, self, args) => Value.Of(Affixes(r, args, "startswith").Any(affix => Text(self).StartsWith(affix, StringComparison.Ordinal))),
        ["endswith"] = (r, self, args) => Value.Of(Affixes(r, args, "endswith").Any(affix => Text(self).EndsWith(affix, StringComparison.Ordinal))),
        ["removeprefix"] = (r, self, args) => Remove(r, self, args, "removeprefix", atEnd: false),
        ["removesuffix"] = (r, self, args) => Remove(r, self, args, "removesuffix", atEnd: true),
        ["replace"] = (r, self, args) =>
        {
            if (args.Named.Any(argument => argument.Key != "count") || args.Named.Length > 0)
            {
                throw r.Error("replace() takes no argument by name");
            }

            var bound = args.Bind(r, "replace()", 2, "old", "new", "count");
            return new StringValue(Texts.Replace(r, Marked(self), Marked(RequireText(r, bound[0]!)), Marked(RequireText(r, bound[1]!)), bound[2] is null ? -1 : Texts.RequireWhole(r, bound[2]!)));
        },
        ["upper"] = (r, self, args) => Mapped(r, self, args, "upper", text => text.ToUpperInvariant()),
        ["lower"] = (r, self, args) => Mapped(r, self, args, "lower", text => text.ToLowerInvariant()),
        ["capitalize"] = (r, self, args) => Mapped(r, self, args, "capitalize", text => Texts.Title(text, (_, i) => i > 0)),
        ["title"] = (r, self, args) => Mapped(r, self, args, "title", text => Texts.Title(text, (all, i) => i > 0 && char.IsLetter(all[i - 1]))),
        ["find"] = (r, self, args) => Value.Of(Find(r, self, args, "find", last: false)),
        ["rfind"] = (r, self, args) => Value.Of(Find(r, self, args, "rfind", last: true)),
        ["index"] = (r, self, args) => Find(r, self, args, "index", last: false) is var place and >= 0 ? Value.Of(place) : throw r.Error("the text that index() looks for is not there"),
        ["count"] = (r, self, args) => Value.Of(CountOf(r, Text(self), Text(RequireText(r, args.Bind(r, "count()", 1, "sub")[0]!)))),
        ["join"] = (r, self, args) =>
        {
            var parts = r.Items(args.Bind(r, "join()", 1, "iterable")[0]!).Select(item => Marked(RequireText(r, item))).ToArray();
            r.Charge(parts.Sum(part => (long)part.Length + Marked(self).Length));
            return new StringValue(Texts.Join(Marked(self), parts));
        },
        ["partition"] = (r, self, args) => Partition(r, self, args, "partition", last: false),
        ["rpartition"] = (r, self, args) => Partition(r, self, args, "rpartition", last: true),
        ["isdigit"] = (r, self, args) => All(r, self, args, "isdigit", char.IsDigit),
        ["isalpha"] = (r, self, args) => All(r, self, args, "isalpha", char.IsLetter),
        ["isspace"] = (r, self, args) => All(r, self, args, "isspace", TemplateLexer.IsSpace),
        ["isupper"] = (r, self, args) => Case(r, self, args, "isupper", char.IsUpper, char.IsLower),
        ["islower"] = (r, self, args) => Case(r, self, args, "islower", char.IsLower, char.IsUpper),
        ["ljust"] = (r, self, args) => Pad(r, self, args, "ljust", (_, _) => 0),
        ["rjust"] = (r, self, args) => Pad(r, self, args, "rjust", (missing, _) => missing),
        ["center"] = (r, self, args) => Pad(r, self, args, "center", (missing, width) => (missing / 2) + (missing & width & 1)),
        ["zfill"] = ZeroFill,
    };

    private static readonly Dictionary<string, Method> OfDict = new(StringComparer.Ordinal)
    {
        ["items"] = (r, self, args) => Listed(r, args, "items()", Pairs(r, (DictValue)self)),
        ["keys"] = (r, self, args) => Listed(r, args, "keys()", [.. ((DictValue)self).Entries.Select(entry => entry.Key)]),
        ["values"] = (r, self, args) => Listed(r, args, "values()", [.. ((DictValue)self).Entries.Select(entry => entry.Value)]),
        ["get"] = (r, self, args) =>
        {
            var bound = args.Bind(r, "get()", 1, "key", "default");
            return ((DictValue)self).Find(bound[0]!) ?? bound[1] ?? NoneValue.Instance;
        },
        ["copy"] = (r, self, args) =>
        {
            args.Bind(r, "copy()", 0);
            return self; // nothing changes a dictionary
        },
    };

    private static readonly Dictionary<string, Method> OfList = new(StringComparer.Ordinal)
    {
        ["index"] = (r, self, args) => Array.FindIndex(((ListValue)self).Items, item => r.Equality.Equals(item, args.Bind(r, "index()", 1, "value")[0]!)) is var place and >= 0
            ? Value.Of(place)
            : throw r.Error("the value that index() looks for is not in the list"),
        ["count"] = (r, self, args) => Value.Of(((ListValue)self).Items.Count(item => r.Equality.Equals(item, args.Bind(r, "count()", 1, "value")[0]!))),
        ["copy"] = (r, self, args) =>
        {
            args.Bind(r, "copy()", 0);
            return self;
        },
    };

    /// <summary>Whether a template that calls a method of this name is refused.</summary>
    public static bool IsUnsupported(string name) => Unsupported.Contains(name);

    /// <summary>A value's method, ready to be called; null where it has none of the name.</summary>
    public static Value? Find(Value self, string name)
    {
        var methods = self switch
        {
            StringValue => OfText,
            DictValue => OfDict,
            ListValue => OfList,
            _ => null,
        };
        return methods is not null && methods.TryGetValue(name, out var method) ? new FunctionValue(name, (rendering, arguments) => method(rendering, self, arguments), "method") : null;
    }

    /// <summary>The entries of a dictionary as pairs.</summary>
    public static Value[] Pairs(Rendering rendering, DictValue dict)
    {
        rendering.Charge(4L * Rendering.ElementRoom * dict.Entries.Count);
        return [.. dict.Entries.Select(entry => new ListValue([entry.Key, entry.Value], ListKind.Tuple))];
    }

    private static string Text(Value value) => ((StringValue)value).Text;

    private static MarkedText Marked(Value value) => ((StringValue)value).Marked;

    private static StringValue RequireText(Rendering rendering, Value value) =>
        value as StringValue ?? throw rendering.Error($"text is expected, and not a value of type {value.TypeName}");

    private static ListValue Listed(Rendering rendering, CallArguments arguments, string method, Value[] items)
    {
        arguments.Bind(rendering, method, 0);
        rendering.Charge(Rendering.ElementRoom * (long)items.Length);
        return new ListValue(items);
    }

    private static StringValue Strip(Rendering rendering, Value self, CallArguments arguments, string name, bool left, bool right)
    {
        var characters = arguments.Bind(rendering, name + "()", 0, "chars")[0];
        rendering.Charge(Marked(self).Length);
        return new StringValue(
            Texts.Strip(Marked(self), characters is null or NoneValue ? null : Text(RequireText(rendering, characters)), left, right), ((StringValue)self).IsMarkup);
    }

    private static ListValue Split(Rendering rendering, Value self, CallArguments arguments, string name, bool fromRight)
    {
        var bound = arguments.Bind(rendering, name + "()", 0, "sep", "maxsplit");
        rendering.Charge(Marked(self).Length);
        var separator = bound[0] is null or NoneValue ? null : Text(RequireText(rendering, bound[0]!));
        var most = bound[1] is null ? -1 : Texts.RequireWhole(rendering, bound[1]!);
        return new ListValue([.. Texts.Split(rendering, Marked(self), separator, most, fromRight).Select(part => new StringValue(part))]);
    }

    private static ListValue SplitLines(Rendering rendering, Value self, CallArguments arguments)
    {
        var keep = arguments.Bind(rendering, "splitlines()", 0, "keepends")[0]?.IsTrue ?? false;
        var text = Marked(self);
        rendering.Charge(text.Length);
        List<Value> lines = [];
        for (var at = 0; at < text.Length;)
        {
            var end = text.Text.AsSpan(at).IndexOfAny(LineEnds);
            end = end < 0 ? text.Length : at + end;
            var next = Math.Min(end + (end + 1 < text.Length && text.Text[end] == '\r' && text.Text[end + 1] == '\n' ? 2 : 1), text.Length);
            rendering.Charge(2 * Rendering.ElementRoom);
            lines.Add(new StringValue(text.Slice(at, (keep ? next : end) - at)));
            at = next;
        }

        return new ListValue([.. lines]);
    }

    private static string[] Affixes(Rendering rendering, CallArguments arguments, string name)
    {
        var affix = arguments.Bind(rendering, name + "()", 1, "prefix")[0]!;
        return affix is ListValue { Kind: ListKind.Tuple } several
            ? [.. several.Items.Select(item => Text(RequireText(rendering, item)))]
            : [Text(RequireText(rendering, affix))];
    }

    private static StringValue Remove(Rendering rendering, Value self, CallArguments arguments, string name, bool atEnd)
    {
        var (text, affix) = (Marked(self), Affixes(rendering, arguments, name)[0]);
        var isThere = atEnd ? text.Text.EndsWith(affix, StringComparison.Ordinal) : text.Text.StartsWith(affix, StringComparison.Ordinal);
        return new StringValue(isThere ? text.Slice(atEnd ? 0 : affix.Length, text.Length - affix.Length) : text);
    }

    private static StringValue Mapped(Rendering rendering, Value self, CallArguments arguments, string name, Func<string, string> map)
    {
        arguments.Bind(rendering, name + "()", 0);
        return new StringValue(Texts.Map(rendering, Marked(self), map), ((StringValue)self).IsMarkup);
    }

    private static int Find(Rendering rendering, Value self, CallArguments arguments, string name, bool last)
    {
        var (text, part) = (Text(self), Text(RequireText(rendering, arguments.Bind(rendering, name + "()", 1, "sub")[0]!)));
        rendering.StepOver(text.Length);
        var place = last ? text.LastIndexOf(part, StringComparison.Ordinal) : text.IndexOf(part, StringComparison.Ordinal);
        return place < 0 ? -1 : Texts.Count(text[..place]);
    }

    private static int CountOf(Rendering rendering, string text, string part)
    {
        rendering.Charge(text.Length);
        return part.Length == 0 ? Texts.Count(text) + 1 : text.AsSpan().Count(part);
    }

    private static ListValue Partition(Rendering rendering, Value self, CallArguments arguments, string name, bool last)
    {
        var (text, separator) = (Marked(self), RequireText(rendering, arguments.Bind(rendering, name + "()", 1, "sep")[0]!));
        var place = last ? text.Text.LastIndexOf(separator.Text, StringComparison.Ordinal) : text.Text.IndexOf(separator.Text, StringComparison.Ordinal);
        var end = place + separator.Marked.Length;
        StringValue[] parts = place >= 0
            ? [new(text.Slice(0, place)), separator, new(text.Slice(end, text.Length - end))]
            : last ? [new(MarkedText.Empty), new(MarkedText.Empty), new(text)] : [new(text), new(MarkedText.Empty), new(MarkedText.Empty)];
        return new ListValue([.. parts], ListKind.Tuple);
    }

    private static Value All(Rendering rendering, Value self, CallArguments arguments, string name, Func<char, bool> holds)
    {
        arguments.Bind(rendering, name + "()", 0);
        return Value.Of(Text(self).Length > 0 && Text(self).All(holds));
    }

    private static Value Case(Rendering rendering, Value self, CallArguments arguments, string name, Func<char, bool> wanted, Func<char, bool> other)
    {
        arguments.Bind(rendering, name + "()", 0);
        return Value.Of(Text(self).Any(wanted) && !Text(self).Any(other));
    }

    private static StringValue Pad(Rendering rendering, Value self, CallArguments arguments, string name, Func<int, int, int> leftOf)
    {
        var bound = arguments.Bind(rendering, name + "()", 1, "width", "fillchar");
        var fill = bound[1] is null ? MarkedText.OfTemplate(" ") : Marked(RequireText(rendering, bound[1]!));
        var width = Texts.RequireWhole(rendering, bound[0]!);
        var missing = BigInteger.Max(width - Texts.Count(Text(self)), 0);
        var padding = (StringValue)Texts.Repeat(rendering, new StringValue(fill), missing);
        var left = missing.IsZero ? 0 : leftOf((int)missing, (int)width);
        return new StringValue(Texts.Join(MarkedText.Empty, [padding.Marked.Slice(0, left * fill.Length), Marked(self), padding.Marked.Slice(left * fill.Length, padding.Marked.Length - (left * fill.Length))]));
    }

    private static StringValue ZeroFill(Rendering rendering, Value self, CallArguments arguments)
    {
        var width = Texts.RequireWhole(rendering, arguments.Bind(rendering, "zfill()", 1, "width")[0]!);
        var text = Marked(self);
        var sign = text.Length > 0 && text.Text[0] is '+' or '-' ? 1 : 0;
        var zeros = (StringValue)Texts.Repeat(rendering, StringValue.OfTemplate("0"), width - Texts.Count(text.Text));
        return new StringValue(Texts.Join(MarkedText.Empty, [text.Slice(0, sign), zeros.Marked, text.Slice(sign, text.Length - sign)]));
    }
}
