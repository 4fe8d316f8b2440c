using System.Numerics;
using NativeSpec.Chat.Templates.Syntax;

namespace NativeSpec.Chat.Templates.Library;

/// <summary>The filters of Jinja that are supported, each with its parameters.</summary>
internal static class Filters
{
    private delegate Value Filter(Rendering rendering, Value of, CallArguments arguments);

    private static readonly string[] NotSupported =
    [
        "attr", "filesizeformat", "format", "groupby", "pprint", "random", "striptags", "truncate", "urlencode", "urlize", "wordwrap", "xmlattr",
    ];

    private static readonly Dictionary<string, Filter> All = new(StringComparer.Ordinal)
    {
        ["abs"] = (r, of, args) => With(args.Bind(r, "abs", 0), of) switch
        {
            FloatValue number => new FloatValue(Math.Abs(number.Number)),
            IntValue or BoolValue => new IntValue(BigInteger.Abs(ValueEquality.Whole(of))),
            _ => throw r.Error($"abs takes a number, and not a value of type {of.TypeName}"),
        },
        ["batch"] = Batch,
        ["capitalize"] = (r, of, args) => Mapped(r, of, args, "capitalize", text => Texts.Title(text, (_, i) => i > 0)),
        ["center"] = (r, of, args) => ((FunctionValue)Methods.Find(AsText(r, of), "center")!).Call(r, args.Count > 0 || args.Named.Length > 0
            ? new CallArguments([args.Bind(r, "center", 0, "width")[0]!], [])
            : new CallArguments([Value.Of(80)], [])),
        ["count"] = Length,
        ["d"] = Default,
        ["default"] = Default,
        ["dictsort"] = Sorting.SortDict,
        ["e"] = Escape,
        ["escape"] = Escape,
        ["first"] = (r, of, args) => With(args.Bind(r, "first", 0), of) is GeneratorValue generator
            ? generator.Next() ?? new UndefinedValue("no first item, sequence was empty")
            : r.Items(of) is [var first, ..] ? first : new UndefinedValue("no first item, sequence was empty"),
        ["float"] = (r, of, args) =>
        {
            var otherwise = args.Bind(r, "float", 0, "default")[0] ?? new FloatValue(0);
            r.RequireDefined(of);
            return ValueEquality.Number(of) is { } number ? new FloatValue(number)
                : of is StringValue text && Numbers.ParseFloat(text.Text) is { } parsed ? new FloatValue(parsed) : otherwise;
        },
        ["forceescape"] = Escape,
        ["indent"] = Indent,
        ["int"] = Int,
        ["items"] = (r, of, args) =>
        {
            args.Bind(r, "items", 0);
            return of switch
            {
                DictValue dict => new GeneratorValue(Methods.Pairs(r, dict)),
                UndefinedValue => new GeneratorValue([]),
                _ => throw r.Error($"items takes a dictionary, and not a value of type {of.TypeName}"),
            };
        },
        ["join"] = Join,
        ["last"] = (r, of, args) => With(args.Bind(r, "last", 0), of) is GeneratorValue ? throw r.Error("the last of a generator is not known")
            : r.Items(of) is [.., var last] ? last : new UndefinedValue("no last item, sequence was empty"),
        ["length"] = Length,
        ["list"] = (r, of, args) => new ListValue([.. Charged(r, r.Items(With(args.Bind(r, "list", 0), of)))]),
        ["lower"] = (r, of, args) => Mapped(r, of, args, "lower", text => text.ToLowerInvariant()),
        ["map"] = Selection.Map,
        ["max"] = (r, of, args) => Sorting.Extreme(r, of, args, "max", 1),
        ["min"] = (r, of, args) => Sorting.Extreme(r, of, args, "min", -1),
        ["reject"] = (r, of, args) => Selection.Select(r, of, args, keeps: false, byAttribute: false),
        ["rejectattr"] = (r, of, args) => Selection.Select(r, of, args, keeps: false, byAttribute: true),
        ["replace"] = (r, of, args) =>
        {
            var bound = args.Bind(r, "replace", 2, "old", "new", "count");
            var count = bound[2] is null or NoneValue ? -1 : Texts.RequireWhole(r, bound[2]!);
            return new StringValue(Texts.Replace(r, Printing.Text(r, of), Printing.Text(r, bound[0]!), Printing.Text(r, bound[1]!), count));
        },
        ["reverse"] = (r, of, args) => With(args.Bind(r, "reverse", 0), of) is StringValue text
            ? new StringValue(Texts.Join(MarkedText.Empty, Texts.Characters(text).Reverse().Select(character => ((StringValue)character).Marked)))
            : new GeneratorValue([.. Charged(r, r.Items(of)).Reverse()], "list_reverseiterator"),
        ["round"] = Round,
        ["safe"] = (r, of, args) => new StringValue(Printing.Text(r, With(args.Bind(r, "safe", 0), of)), isMarkup: true),
        ["select"] = (r, of, args) => Selection.Select(r, of, args, keeps: true, byAttribute: false),
        ["selectattr"] = (r, of, args) => Selection.Select(r, of, args, keeps: true, byAttribute: true),
        ["slice"] = Slice,
        ["sort"] = Sorting.Sort,
        ["string"] = (r, of, args) => AsText(r, With(args.Bind(r, "string", 0), of)),
        ["sum"] = (r, of, args) =>
        {
            var bound = args.Bind(r, "sum", 0, "attribute", "start");
            return r.Items(of).Aggregate(bound[1] ?? Value.Of(0), (sum, item) => r.Calculate("+", sum, Selection.Attribute(r, item, bound[0])));
        },
        ["title"] = (r, of, args) => Mapped(r, of, args, "title", text => Texts.Title(text, (all, i) => i > 0 && !TemplateLexer.IsSpace(all[i - 1]) && !"-([{<".Contains(all[i - 1]))),
        ["tojson"] = ToJson,
        ["trim"] = (r, of, args) =>
        {
            var characters = args.Bind(r, "trim", 0, "chars")[0];
            var text = AsText(r, of);
            r.Charge(text.Marked.Length);
            return new StringValue(Texts.Strip(text.Marked, characters is StringValue given ? given.Text : null), text.IsMarkup);
        },
        ["unique"] = Sorting.Unique,
        ["upper"] = (r, of, args) => Mapped(r, of, args, "upper", text => text.ToUpperInvariant()),
        ["wordcount"] = (r, of, args) => Value.Of(Texts.CountWords(Printing.Text(r, With(args.Bind(r, "wordcount", 0), of)).Text)),
    };

    public static bool IsKnown(string name) => All.ContainsKey(name);

    /// <summary>Whether Jinja has a filter of the name that is not supported.</summary>
    public static bool IsJinjas(string name) => NotSupported.Contains(name);

    public static Value Apply(Rendering rendering, string name, Value of, CallArguments arguments) => All[name](rendering, of, arguments);

    private static Value With(Value?[] checkedArguments, Value of) => checkedArguments.Length == 0 ? of : throw new ArgumentException("arguments that nothing reads");

    private static StringValue AsText(Rendering rendering, Value value) => value as StringValue ?? new StringValue(Printing.Text(rendering, value));

    private static Value[] Charged(Rendering rendering, Value[] items)
    {
        rendering.Charge(Rendering.ElementRoom * (long)items.Length);
        return items;
    }

    private static StringValue Mapped(Rendering rendering, Value of, CallArguments arguments, string name, Func<string, string> map)
    {
        arguments.Bind(rendering, name, 0);
        var text = AsText(rendering, of);
        return new StringValue(Texts.Map(rendering, text.Marked, map), text.IsMarkup);
    }

    private static ListValue Slice(Rendering rendering, Value of, CallArguments arguments)
    {
        var bound = arguments.Bind(rendering, "slice", 1, "slices", "fill_with");
        var items = rendering.Items(of);
        var slices = Texts.RequireWhole(rendering, bound[0]!);
        if (slices < 1 || slices > 10_000)
        {
            throw rendering.Error($"{slices} slices");
        }

        var (least, more) = (items.Length / (int)slices, items.Length % (int)slices);
        rendering.Charge(Rendering.ElementRoom * (items.Length + (long)slices));
        return new ListValue([.. Enumerable.Range(0, (int)slices).Select(i =>
        {
            var start = (i * least) + Math.Min(i, more);
            Value[] part = items[start..(start + least + (i < more ? 1 : 0))];
            return new ListValue(bound[1] is { } fill and not NoneValue && i >= more ? [.. part, fill] : part);
        })]);
    }

    private static GeneratorValue Batch(Rendering rendering, Value of, CallArguments arguments)
    {
        var bound = arguments.Bind(rendering, "batch", 1, "linecount", "fill_with");
        var items = rendering.Items(of);
        var size = Texts.RequireWhole(rendering, bound[0]!);
        if (size < 1)
        {
            throw rendering.Error($"batches of {size}");
        }

        var fill = bound[1] is null or NoneValue ? null : bound[1];
        var length = (int)BigInteger.Min(size, Math.Max(items.Length, 1));
        var batches = items.Chunk(length).ToArray();
        rendering.Charge(Rendering.ElementRoom * (long)items.Length);
        if (fill is not null && batches.Length > 0)
        {
            var missing = size - batches[^1].Length;
            rendering.Charge(missing > int.MaxValue ? long.MaxValue : Rendering.ElementRoom * (long)missing);
            batches[^1] = [.. batches[^1], .. Enumerable.Repeat(fill, (int)missing)];
        }

        return new GeneratorValue([.. batches.Select(batch => new ListValue(batch))]);
    }

    private static Value Length(Rendering rendering, Value of, CallArguments arguments)
    {
        arguments.Bind(rendering, "length", 0);
        return of switch
        {
            StringValue text => Value.Of(Texts.Count(rendering, text.Text)),
            ListValue list => Value.Of(list.Items.Length),
            DictValue dict => Value.Of(dict.Entries.Count),
            UndefinedValue => Value.Of(0),
            LoopValue loop => loop.Member("length")!,
            _ => throw rendering.Error($"a value of type {of.TypeName} has no length"),
        };
    }

    private static Value Default(Rendering rendering, Value of, CallArguments arguments)
    {
        var bound = arguments.Bind(rendering, "default", 0, "default_value", "boolean");
        return of is UndefinedValue || (bound[1]?.IsTrue == true && !of.IsTrue) ? bound[0] ?? StringValue.OfTemplate("") : of;
    }

    private static StringValue Escape(Rendering rendering, Value of, CallArguments arguments)
    {
        arguments.Bind(rendering, "escape", 0);
        var text = AsText(rendering, of);
        return text.IsMarkup ? text : new StringValue(Texts.Escape(rendering, text.Marked), isMarkup: true);
    }

    private static StringValue Indent(Rendering rendering, Value of, CallArguments arguments)
    {
        var bound = arguments.Bind(rendering, "indent", 0, "width", "first", "blank");
        rendering.RequireDefined(of);
        var text = of as StringValue ?? throw rendering.Error($"indent takes text, and not a value of type {of.TypeName}");
        var indention = bound[0] is StringValue given ? given.Marked
            : ((StringValue)Texts.Repeat(rendering, StringValue.OfTemplate(" "), bound[0] is null ? 4 : Texts.RequireWhole(rendering, bound[0]!))).Marked;
        var lines = Texts.Split(rendering, text.Marked, "\n", -1, fromRight: false);
        var indented = new MarkedText.Builder();
        for (var i = 0; i < lines.Count; i++)
        {
            rendering.Charge(1 + indention.Length + lines[i].Length);
            if (i > 0)
            {
                indented.Append('\n', ofTemplate: true);
            }

            if (i == 0 ? bound[1]?.IsTrue == true : lines[i].Length > 0 || bound[2]?.IsTrue == true)
            {
                indented.Append(indention);
            }

            indented.Append(lines[i]);
        }

        return new StringValue(indented.Build(), text.IsMarkup);
    }

    private static Value Int(Rendering rendering, Value of, CallArguments arguments)
    {
        var bound = arguments.Bind(rendering, "int", 0, "default", "base");
        var otherwise = bound[0] ?? Value.Of(0);
        rendering.RequireDefined(of);
        if (bound[1] is { } radix && Texts.RequireWhole(rendering, radix) != 10)
        {
            throw rendering.Error("int of another base than 10 is not supported");
        }

        return of switch
        {
            IntValue or BoolValue => new IntValue(ValueEquality.Whole(of)),
            FloatValue { Number: var number } => double.IsFinite(number) ? new IntValue(new BigInteger(number)) : otherwise,
            StringValue text => Numbers.ParseWhole(text.Text) is { } whole ? new IntValue(whole)
                : Numbers.ParseFloat(text.Text) is { } number && double.IsFinite(number) ? new IntValue(new BigInteger(number)) : otherwise,
            _ => otherwise,
        };
    }

    private static StringValue Join(Rendering rendering, Value of, CallArguments arguments)
    {
        var bound = arguments.Bind(rendering, "join", 0, "d", "attribute");
        var between = bound[0] is null ? MarkedText.Empty : Printing.Text(rendering, bound[0]!);
        List<MarkedText> parts = [];
        foreach (var item in rendering.Items(of))
        {
            var part = Printing.Text(rendering, Selection.Attribute(rendering, item, bound[1]));
            rendering.Charge((long)part.Length + between.Length);
            parts.Add(part);
        }

        return new StringValue(Texts.Join(between, parts));
    }

    private static Value Round(Rendering rendering, Value of, CallArguments arguments)
    {
        var bound = arguments.Bind(rendering, "round", 0, "precision", "method");
        var precision = bound[0] is null ? 0 : Texts.RequireWhole(rendering, bound[0]!);
        var number = ValueEquality.Number(of) ?? throw rendering.Error($"round takes a number, and not a value of type {of.TypeName}");
        if (precision < 0 || precision > 15)
        {
            throw rendering.Error($"round to {precision} places is not supported");
        }

        var power = Math.Pow(10, (int)precision);
        return (bound[1] as StringValue)?.Text switch
        {
            null or "common" when of is not FloatValue => new IntValue(ValueEquality.Whole(of)),
            null or "common" => new FloatValue(Math.Round(number, (int)precision, MidpointRounding.ToEven)),
            "ceil" => new FloatValue(Math.Ceiling(number * power) / power),
            "floor" => new FloatValue(Math.Floor(number * power) / power),
            var method => throw rendering.Error($"round has no method '{method}'"),
        };
    }

    private static StringValue ToJson(Rendering rendering, Value of, CallArguments arguments)
    {
        var bound = arguments.Bind(rendering, "tojson", 0, "ensure_ascii", "indent", "separators", "sort_keys");
        var indent = bound[1] switch
        {
            null or NoneValue => null,
            StringValue text => text.Marked,
            var width => ((StringValue)Texts.Repeat(rendering, StringValue.OfTemplate(" "), Texts.RequireWhole(rendering, width))).Marked,
        };
        var (comma, colon) = (MarkedText.OfTemplate(indent is null ? ", " : ","), MarkedText.OfTemplate(": "));
        if (bound[2] is { } separators and not NoneValue)
        {
            (comma, colon) = rendering.Items(separators) is [StringValue first, StringValue second]
                ? (first.Marked, second.Marked)
                : throw rendering.Error("tojson takes two texts as separators");
        }

        return new StringValue(Printing.Json(rendering, of, new JsonStyle(indent, comma, colon, bound[3]?.IsTrue == true, bound[0]?.IsTrue == true)));
    }
}
