using System.Diagnostics.CodeAnalysis;
using System.Numerics;

namespace NativeSpec.Chat.Templates.Library;

/// <summary>Equality and order as Python has them: 1, 1.0 and true are equal, texts are compared by their code points, and where text comes from
/// makes no difference.</summary>
/// <param name="rendering">Whose steps comparisons are: values may share parts, so that few of them are much to compare. Null for the keys of data, which
/// are texts.</param>
internal sealed class ValueEquality(Rendering? rendering) : IEqualityComparer<Value>
{
    /// <summary>That of the keys of data.</summary>
    public static readonly ValueEquality OfData = new(null);

    private const int MaxDepth = 100;

    /// <summary>How deep a list counts for its hash.</summary>
    private const int HashedDepth = 4;

    public bool Equals(Value? x, Value? y) => x is not null && y is not null && AreEqual(x, y, 0);

    public int GetHashCode([DisallowNull] Value obj) => Hash(obj, HashedDepth);

    /// <summary>Which of two values is less: negative for the first; null where they cannot be compared.</summary>
    public int? Compare(Value x, Value y)
    {
        if (x is StringValue a && y is StringValue b)
        {
            rendering?.StepOver(Math.Min(a.Text.Length, b.Text.Length));
            return CompareText(a.Text, b.Text);
        }

        if (x is ListValue first && y is ListValue second && first.Kind == second.Kind && first.Kind != ListKind.Range)
        {
            for (var i = 0; i < Math.Min(first.Items.Length, second.Items.Length); i++)
            {
                if (!Equals(first.Items[i], second.Items[i]))
                {
                    return Compare(first.Items[i], second.Items[i]);
                }
            }

            return first.Items.Length.CompareTo(second.Items.Length);
        }

        return (x, y) switch
        {
            (IntValue or BoolValue, IntValue or BoolValue) => Whole(x).CompareTo(Whole(y)),
            _ => Number(x) is { } left && Number(y) is { } right ? left.CompareTo(right) : null,
        };
    }

    /// <summary>A value as a whole number, where it is one or a truth value.</summary>
    public static BigInteger Whole(Value value) => value is IntValue number ? number.Number : value.IsTrue ? 1 : 0;

    /// <summary>A value as a number; null where it is none.</summary>
    public static double? Number(Value value) => value switch
    {
        IntValue number => (double)number.Number,
        FloatValue number => number.Number,
        BoolValue truth => truth.IsTrue ? 1 : 0,
        _ => null,
    };

    private static int Hash(Value value, int depth) => value switch
    {
        StringValue text => string.GetHashCode(text.Text, StringComparison.Ordinal),
        ListValue list => list.Items.Length == 0 || depth == 0 ? list.Items.Length : HashCode.Combine(list.Items.Length, Hash(list.Items[0], depth - 1)),
        _ => Number(value)?.GetHashCode() ?? value.TypeName.GetHashCode(StringComparison.Ordinal),
    };

    private bool AreEqual(Value x, Value y, int depth)
    {
        if (ReferenceEquals(x, y))
        {
            return true;
        }

        rendering?.Step();

        if (depth > MaxDepth)
        {
            throw new ValueTooDeepException();
        }

        return (x, y) switch
        {
            (UndefinedValue, UndefinedValue) => true,
            (StringValue a, StringValue b) => a.Text.Length == b.Text.Length && AreSame(a.Text, b.Text),
            (IntValue or BoolValue, IntValue or BoolValue) => Whole(x) == Whole(y),
            (ListValue a, ListValue b) => a.Kind == b.Kind && a.Items.Length == b.Items.Length && a.Items.Zip(b.Items).All(pair => AreEqual(pair.First, pair.Second, depth + 1)),
            (DictValue a, DictValue b) => a.Entries.Count == b.Entries.Count && a.Entries.All(entry => b.Find(entry.Key) is { } other && AreEqual(entry.Value, other, depth + 1)),
            _ => Number(x) is { } left && Number(y) is { } right && left == right,
        };
    }

    private bool AreSame(string a, string b)
    {
        rendering?.StepOver(a.Length);
        return a == b;
    }

    private static int CompareText(string a, string b)
    {
        var common = a.AsSpan().CommonPrefixLength(b);
        if (common == a.Length || common == b.Length)
        {
            return a.Length.CompareTo(b.Length);
        }

        // UTF-16 puts the characters past U+FFFF before U+E000 to U+FFFF; code points have them behind.
        var (x, y) = (a[common], b[common]);
        return char.IsSurrogate(x) == char.IsSurrogate(y) ? x.CompareTo(y) : char.IsSurrogate(x) ? (y >= '\ue000' ? 1 : x.CompareTo(y)) : x >= '\ue000' ? -1 : x.CompareTo(y);
    }
}

/// <summary>Values lie too deep in one another to be gone through.</summary>
internal sealed class ValueTooDeepException : Exception;
