using System.Globalization;

namespace NativeSpec.Tokenization.Patterns;

/// <summary>A set of code points, as patterns write it: ranges and Unicode categories, joined, intersected, turned round.</summary>
internal abstract record CharSet
{
    /// <summary>Every code point.</summary>
    public static CharSet All { get; } = new Ranges([(0, 0x10FFFF)]);

    /// <summary><c>\s</c>: the property White_Space.</summary>
    public static CharSet Space { get; } = new Ranges(
        [(9, 13), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)]);

    /// <summary><c>\d</c>: decimal digits of all scripts.</summary>
    public static CharSet Digit { get; } = Of(UnicodeCategory.DecimalDigitNumber);

    /// <summary>What words are of: alphabetic characters, marks, decimal digits and connecting punctuation.</summary>
    public static CharSet WordProperty => new Union([CharProperties.Alphabetic, new Categories(Mask("M") | Mask("Nd") | Mask("Pc"))]);

    /// <summary><c>\w</c>: the same and, in Oniguruma, the superscripts and fractions of Latin-1.</summary>
    public static CharSet Word => new Union([WordProperty, new Ranges([(0xB2, 0xB3), (0xB9, 0xB9), (0xBC, 0xBE)])]);

    /// <summary>Whether the set has the code point, which is of that category.</summary>
    public abstract bool Has(int codePoint, UnicodeCategory category);

    /// <summary>Collects the code points at which, within one category, membership can change.</summary>
    public abstract void CollectBounds(ISet<int> bounds);

    /// <summary>The set of one code point.</summary>
    public static CharSet Of(int codePoint) => new Ranges([(codePoint, codePoint)]);

    /// <summary>The set of a category.</summary>
    public static CharSet Of(UnicodeCategory category) => new Categories(1u << (int)category);

    /// <summary>The set of a category or a group of categories by its short name (<c>L</c>, <c>Lu</c>); null where there is none of that
    /// name.</summary>
    public static CharSet? OfCategory(string name) => Mask(name) is not 0 and var mask ? new Categories(mask) : null;

    /// <summary>Every code point that this set has not.</summary>
    public CharSet Complement() => this is Not not ? not.Set : new Not(this);

    // The order of System.Globalization.UnicodeCategory.
    private static uint Mask(string name)
    {
        string[] names =
        [
            "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Pc", "Pd", "Ps", "Pe", "Pi",
            "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cn",
        ];
        uint mask = 0;
        for (var i = 0; i < names.Length; i++)
        {
            mask |= names[i] == name || (name.Length == 1 && names[i][0] == name[0]) ? 1u << i : 0;
        }

        return mask;
    }

    /// <summary>Code points within ranges, both ends included.</summary>
    public sealed record Ranges(IReadOnlyList<(int First, int Last)> Items) : CharSet
    {
        // Disjoint and in order, so that large sets (Alphabetic has 700 ranges) are searched and not gone through.
        private readonly (int[] Firsts, int[] Lasts) _sorted = Sort(Items);

        /// <inheritdoc/>
        public override bool Has(int codePoint, UnicodeCategory category)
        {
            var at = Array.BinarySearch(_sorted.Firsts, codePoint);
            at = at < 0 ? ~at - 1 : at;
            return at >= 0 && codePoint <= _sorted.Lasts[at];
        }

        /// <inheritdoc/>
        public override void CollectBounds(ISet<int> bounds)
        {
            foreach (var (first, last) in Items)
            {
                bounds.Add(first);
                bounds.Add(last + 1);
            }
        }

        private static (int[] Firsts, int[] Lasts) Sort(IReadOnlyList<(int First, int Last)> items)
        {
            List<int> firsts = [], lasts = [];
            foreach (var (first, last) in items.Order())
            {
                if (lasts.Count > 0 && first <= lasts[^1])
                {
                    lasts[^1] = Math.Max(lasts[^1], last);
                }
                else if (first <= last)
                {
                    firsts.Add(first);
                    lasts.Add(last);
                }
            }

            return ([.. firsts], [.. lasts]);
        }
    }

    /// <summary>Code points of some categories, a bit for each.</summary>
    public sealed record Categories(uint Bits) : CharSet
    {
        /// <inheritdoc/>
        public override bool Has(int codePoint, UnicodeCategory category) => (Bits >> (int)category & 1) != 0;

        /// <inheritdoc/>
        public override void CollectBounds(ISet<int> bounds)
        {
        }
    }

    /// <summary>What a set has not.</summary>
    public sealed record Not(CharSet Set) : CharSet
    {
        /// <inheritdoc/>
        public override bool Has(int codePoint, UnicodeCategory category) => !Set.Has(codePoint, category);

        /// <inheritdoc/>
        public override void CollectBounds(ISet<int> bounds) => Set.CollectBounds(bounds);
    }

    /// <summary>What any of the sets has.</summary>
    public sealed record Union(IReadOnlyList<CharSet> Sets) : CharSet
    {
        /// <inheritdoc/>
        public override bool Has(int codePoint, UnicodeCategory category) => Sets.Any(s => s.Has(codePoint, category));

        /// <inheritdoc/>
        public override void CollectBounds(ISet<int> bounds)
        {
            foreach (var set in Sets)
            {
                set.CollectBounds(bounds);
            }
        }
    }

    /// <summary>What both sets have.</summary>
    public sealed record Intersection(CharSet Left, CharSet Right) : CharSet
    {
        /// <inheritdoc/>
        public override bool Has(int codePoint, UnicodeCategory category) => Left.Has(codePoint, category) && Right.Has(codePoint, category);

        /// <inheritdoc/>
        public override void CollectBounds(ISet<int> bounds)
        {
            Left.CollectBounds(bounds);
            Right.CollectBounds(bounds);
        }
    }
}
