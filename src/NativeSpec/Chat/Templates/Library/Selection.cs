namespace NativeSpec.Chat.Templates.Library;

/// <summary>The filters that go through values and pick some of them or something of each.</summary>
internal static class Selection
{
    /// <summary>select, reject, selectattr, rejectattr: what a test says of each value, or of an attribute of it. Without a test it is whether the
    /// value counts as true.</summary>
    public static Value Select(Rendering rendering, Value of, CallArguments arguments, bool keeps, bool byAttribute)
    {
        var used = 0;
        Value? attribute = null;
        if (byAttribute)
        {
            attribute = arguments.Count > 0 ? arguments[used++] : throw rendering.Error("the name of an attribute is missing");
        }

        string? test = null;
        if (arguments.Count > used)
        {
            test = (arguments[used++] as StringValue)?.Text ?? throw rendering.Error("the name of a test is text");
            if (!Tests.IsKnown(test))
            {
                throw rendering.Error($"no test is named '{test}'");
            }
        }

        var rest = arguments.After(rendering, used);
        List<Value> selected = [];
        foreach (var item in ItemsOfTrue(rendering, of))
        {
            rendering.Step();
            var value = Attribute(rendering, item, attribute);
            if ((test is null ? value.IsTrue : Tests.Holds(rendering, test, value, rest)) == keeps)
            {
                rendering.Charge(Rendering.ElementRoom);
                selected.Add(item);
            }
        }

        return new GeneratorValue([.. selected]);
    }

    /// <summary>map: a filter of each value, or an attribute of each.</summary>
    public static Value Map(Rendering rendering, Value of, CallArguments arguments)
    {
        Func<Value, Value> map;
        if (arguments.Count == 0)
        {
            var otherwise = arguments.Named.Where(argument => argument.Key == "default").Select(argument => argument.Value).FirstOrDefault();
            var attribute = arguments.Named.Where(argument => argument.Key == "attribute").Select(argument => argument.Value).FirstOrDefault()
                ?? throw rendering.Error("map takes the name of a filter, or an attribute");
            if (arguments.Named.FirstOrDefault(argument => argument.Key is not ("attribute" or "default")).Key is { } unknown)
            {
                throw rendering.Error($"map has no parameter '{unknown}'");
            }

            map = item => Attribute(rendering, item, attribute) is var value && value is UndefinedValue && otherwise is not null ? otherwise : value;
        }
        else
        {
            var filter = (arguments[0] as StringValue)?.Text ?? throw rendering.Error("the name of a filter is text");
            if (!Filters.IsKnown(filter))
            {
                throw rendering.Error($"no filter is named '{filter}'");
            }

            var rest = arguments.After(rendering, 1);
            map = item => Filters.Apply(rendering, filter, item, rest);
        }

        var items = ItemsOfTrue(rendering, of);
        rendering.Charge(Rendering.ElementRoom * (long)items.Length);
        return new GeneratorValue([.. items.Select(item =>
        {
            rendering.Step();
            return map(item);
        })]);
    }

    // Jinja looks whether there is anything to go through before it asks for it: none and 0 are nothing here.
    private static Value[] ItemsOfTrue(Rendering rendering, Value of) => of.IsTrue ? rendering.Items(of) : [];

    /// <summary>An attribute of a value, by a path such as <c>a.b.0</c>; the value itself where there is no path.</summary>
    public static Value Attribute(Rendering rendering, Value of, Value? path)
    {
        switch (path)
        {
            case null or NoneValue:
                return of;
            case StringValue text:
                foreach (var part in text.Text.Split('.'))
                {
                    Value index = part.Length > 0 && part.All(char.IsAsciiDigit) && Numbers.ParseWhole(part) is { } number ? new IntValue(number) : new StringValue(MarkedText.OfTemplate(part));
                    of = rendering.Element(of, index);
                }

                return of;
            default:
                return rendering.Element(of, path);
        }
    }
}
