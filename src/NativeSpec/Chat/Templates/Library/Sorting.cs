using System.Runtime.ExceptionServices;

namespace NativeSpec.Chat.Templates.Library;

/// <summary>The filters that put values in order.</summary>
internal static class Sorting
{
    /// <summary>sort: stable, without regard to case unless it is asked for.</summary>
    public static Value Sort(Rendering rendering, Value of, CallArguments arguments)
    {
        var bound = arguments.Bind(rendering, "sort", 0, "reverse", "case_sensitive", "attribute");
        return new ListValue(Ordered(rendering, rendering.Items(of), bound[0]?.IsTrue == true, item => Key(rendering, item, bound[2], bound[1]?.IsTrue == true)));
    }

    /// <summary>dictsort: the entries of a dictionary by key or value.</summary>
    public static Value SortDict(Rendering rendering, Value of, CallArguments arguments)
    {
        var bound = arguments.Bind(rendering, "dictsort", 0, "case_sensitive", "by", "reverse");
        var by = (bound[1] as StringValue)?.Text ?? "key";
        var dict = of as DictValue ?? throw rendering.Error($"dictsort takes a dictionary, and not a value of type {of.TypeName}");
        if (by is not ("key" or "value"))
        {
            throw rendering.Error("dictsort sorts by 'key' or by 'value'");
        }

        return new ListValue(Ordered(
            rendering, Methods.Pairs(rendering, dict), bound[2]?.IsTrue == true, pair => Key(rendering, ((ListValue)pair).Items[by == "key" ? 0 : 1], null, bound[0]?.IsTrue == true)));
    }

    /// <summary>max and min.</summary>
    public static Value Extreme(Rendering rendering, Value of, CallArguments arguments, string name, int sign)
    {
        var bound = arguments.Bind(rendering, name, 0, "case_sensitive", "attribute");
        Value? best = null, bestKey = null;
        foreach (var item in rendering.Items(of))
        {
            var key = Key(rendering, item, bound[1], bound[0]?.IsTrue == true);
            if (bestKey is null || rendering.Compare(sign > 0 ? ">" : "<", key, bestKey) * sign > 0)
            {
                (best, bestKey) = (item, key);
            }
        }

        return best ?? new UndefinedValue($"no {name} item, sequence was empty");
    }

    /// <summary>unique: the first of each.</summary>
    public static Value Unique(Rendering rendering, Value of, CallArguments arguments)
    {
        var bound = arguments.Bind(rendering, "unique", 0, "case_sensitive", "attribute");
        HashSet<Value> seen = new(rendering.Equality);
        var items = rendering.Items(of);
        rendering.Charge(Rendering.ElementRoom * (long)items.Length);
        return new GeneratorValue([.. items.Where(item =>
        {
            rendering.Step();
            return seen.Add(Key(rendering, item, bound[1], bound[0]?.IsTrue == true));
        })]);
    }

    private static Value[] Ordered(Rendering rendering, Value[] items, bool reverse, Func<Value, Value> key)
    {
        rendering.Charge(2L * Rendering.ElementRoom * items.Length);
        var comparer = Comparer<Value>.Create((a, b) =>
        {
            rendering.Step();
            var order = a is UndefinedValue && b is UndefinedValue || a is NoneValue && b is NoneValue ? 0 : rendering.Compare("<", a, b);
            return reverse ? -order : order;
        });
        return Order(items, key, comparer);
    }

    /// <summary>Orders, stably; what the comparer throws is thrown as it is, which .NET's sorting wraps.</summary>
    public static T[] Order<T, TKey>(IEnumerable<T> items, Func<T, TKey> key, IComparer<TKey> comparer)
    {
        try
        {
            return [.. items.OrderBy(key, comparer)];
        }
        catch (InvalidOperationException error) when (error.InnerException is { } inner)
        {
            ExceptionDispatchInfo.Throw(inner);
            throw;
        }
    }

    private static Value Key(Rendering rendering, Value item, Value? attribute, bool caseSensitive)
    {
        var key = Selection.Attribute(rendering, item, attribute);
        return key is StringValue text && !caseSensitive ? new StringValue(Texts.Map(rendering, text.Marked, value => value.ToLowerInvariant())) : key;
    }
}
