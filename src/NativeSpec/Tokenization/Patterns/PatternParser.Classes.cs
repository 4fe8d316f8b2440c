namespace NativeSpec.Tokenization.Patterns;

/// <summary>Classes in brackets.</summary>
internal sealed partial class PatternParser
{
    /// <summary>Parses a class in brackets, with classes within it and intersections.</summary>
    private readonly struct CharClassParser(PatternParser parser)
    {
        public CharSet Parse()
        {
            if (++parser._depth > MaxDepth)
            {
                throw parser.Bad($"more than {MaxDepth} classes within each other");
            }

            parser._at++;
            var negative = parser.Take('^');
            var sets = new List<CharSet>();
            CharSet? intersection = null;
            if (!parser.IsAtEnd && parser._text[parser._at] == ']')
            {
                sets.Add(CharSet.Of(parser.TakeRune())); // a ']' at the start is an ordinary character
            }

            while (!parser.Take(']'))
            {
                if (parser.IsAtEnd)
                {
                    throw parser.Bad("a '[' without its ']'");
                }

                if (parser.Take("&&"))
                {
                    intersection = Intersect(intersection, sets);
                    sets = [];
                }
                else if (parser._text[parser._at] == '[')
                {
                    sets.Add(ParsePosix() ?? Parse());
                }
                else
                {
                    sets.Add(ParseRange());
                }
            }

            parser._depth--;
            var set = Intersect(intersection, sets);
            return negative ? set.Complement() : set;
        }

        private static CharSet Intersect(CharSet? left, List<CharSet> right)
        {
            CharSet union = right.Count == 1 ? right[0] : new CharSet.Union(right);
            return left is null ? union : new CharSet.Intersection(left, union);
        }

        private CharSet ParseRange()
        {
            var first = ParseItem();
            var text = parser._text;
            var isRange = parser._at + 1 < text.Length && text[parser._at] == '-' && text[parser._at + 1] != ']' && IsOne(first, out _);
            if (!isRange)
            {
                return parser.Cased(first);
            }

            parser._at++;
            var last = ParseItem();
            if (!IsOne(last, out var to) || !IsOne(first, out var from))
            {
                return new CharSet.Union([parser.Cased(first), CharSet.Of('-'), last]);
            }

            return from <= to ? parser.Cased(new CharSet.Ranges([(from, to)])) : throw parser.Bad("a range whose end lies before its start");
        }

        private CharSet ParseItem()
        {
            if (parser._text[parser._at] != '\\')
            {
                return CharSet.Of(parser.TakeRune());
            }

            if (parser.Take(@"\b"))
            {
                return CharSet.Of('\b');
            }

            var ignoreCase = parser._ignoreCase;
            parser._ignoreCase = ignoreCase && parser._at + 1 < parser._text.Length && parser._text[parser._at + 1] is 'p' or 'P';
            var set = parser.ParseEscapedSet(inClass: true);
            parser._ignoreCase = ignoreCase;
            return set;
        }

        // [:alpha:] and [:^alpha:] within a class.
        private CharSet? ParsePosix()
        {
            var start = parser._at;
            if (!parser.Take("[:"))
            {
                return null;
            }

            var negative = parser.Take('^');
            var end = parser._text.IndexOf(":]", parser._at, StringComparison.Ordinal);
            var set = end < 0 ? null : CharProperties.FindPosix(parser._text[parser._at..end]);
            parser._at = set is null ? start : end + 2;
            return negative ? set?.Complement() : set;
        }

        private static bool IsOne(CharSet set, out int codePoint)
        {
            codePoint = set is CharSet.Ranges { Items: [var (first, last)] } && first == last ? first : -1;
            return codePoint >= 0;
        }
    }
}
