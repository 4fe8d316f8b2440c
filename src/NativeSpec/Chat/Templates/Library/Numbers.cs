using System.Globalization;
using System.Numerics;

namespace NativeSpec.Chat.Templates.Library;

/// <summary>Arithmetic as Python has it: whole numbers without bounds but for a limit, division that rounds down, and how numbers print.</summary>
internal static class Numbers
{
    /// <summary>Most digits of a whole number, far more than any template counts to.</summary>
    public const int MaxDigits = 1000;

    private const int MaxBits = 3400;

    /// <summary>x op y; null where they are no numbers.</summary>
    public static Value? Calculate(Rendering rendering, string op, Value x, Value y)
    {
        if (ValueEquality.Number(x) is not { } left || ValueEquality.Number(y) is not { } right)
        {
            return null;
        }

        if (op is "/" or "//" or "%" && right == 0)
        {
            throw rendering.Error("division by zero");
        }

        if (op == "/")
        {
            return new FloatValue(left / right);
        }

        if (x is FloatValue || y is FloatValue)
        {
            return new FloatValue(op switch
            {
                "+" => left + right,
                "-" => left - right,
                "*" => left * right,
                "//" => Math.Floor(left / right),
                "%" => Modulo(left, right),
                _ => Math.Pow(left, right),
            });
        }

        var (a, b) = (ValueEquality.Whole(x), ValueEquality.Whole(y));
        return op switch
        {
            "+" => Limited(rendering, a + b),
            "-" => Limited(rendering, a - b),
            "*" => Limited(rendering, a * b),
            "//" => new IntValue(FloorDivide(a, b)),
            "%" => new IntValue(a - (b * FloorDivide(a, b))),
            _ => Power(rendering, a, b),
        };
    }

    /// <summary>A number as Python prints it: the fewest digits that read back as the same number.</summary>
    public static string Print(double value)
    {
        if (!double.IsFinite(value))
        {
            return double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
        }

        var shortest = value.ToString("R", CultureInfo.InvariantCulture).Split('E');
        var sign = double.IsNegative(value) ? "-" : "";
        var mantissa = shortest[0].TrimStart('-');
        var point = mantissa.IndexOf('.');
        var whole = point < 0 ? mantissa.Length : point;
        var all = mantissa.Replace(".", "", StringComparison.Ordinal);
        var zeros = all.Length - all.TrimStart('0').Length;
        var digits = all[zeros..].TrimEnd('0');
        if (digits.Length == 0)
        {
            return sign + "0.0";
        }

        // value = d.ddd · 10^exponent
        var exponent = whole - zeros - 1 + (shortest.Length > 1 ? int.Parse(shortest[1], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) : 0);
        if (exponent is < -4 or >= 16)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{sign}{digits[0]}{(digits.Length > 1 ? "." : "")}{digits[1..]}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}");
        }

        return sign + (exponent < 0
            ? "0." + new string('0', -exponent - 1) + digits
            : digits.Length <= exponent + 1 ? digits.PadRight(exponent + 1, '0') + ".0" : digits[..(exponent + 1)] + "." + digits[(exponent + 1)..]);
    }

    /// <summary>The whole number that text stands for, as int() reads it; null where it stands for none.</summary>
    public static BigInteger? ParseWhole(string text)
    {
        text = text.Trim().Replace("_", "", StringComparison.Ordinal);
        return text.Length <= MaxDigits && BigInteger.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value : null;
    }

    /// <summary>The number that text stands for, as float() reads it; null where it stands for none.</summary>
    public static double? ParseFloat(string text) =>
        double.TryParse(text.Trim(), NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out var value) ? value : null;

    private static IntValue Limited(Rendering rendering, BigInteger value) => value.GetBitLength() <= MaxBits
        ? new IntValue(value)
        : throw rendering.OverLimit($"a whole number of more than {MaxDigits} digits");

    private static Value Power(Rendering rendering, BigInteger a, BigInteger b)
    {
        if (b < 0)
        {
            return a.IsZero ? throw rendering.Error("division by zero") : new FloatValue(Math.Pow((double)a, (double)b));
        }

        if (BigInteger.Abs(a) <= 1)
        {
            return new IntValue(b.IsZero ? 1 : a.IsZero ? 0 : a.IsOne || b.IsEven ? 1 : -1);
        }

        return a.GetBitLength() * (double)b > 2 * MaxBits
            ? throw rendering.OverLimit($"a whole number of more than {MaxDigits} digits")
            : Limited(rendering, BigInteger.Pow(a, (int)b));
    }

    private static BigInteger FloorDivide(BigInteger a, BigInteger b)
    {
        var quotient = BigInteger.DivRem(a, b, out var rest);
        return !rest.IsZero && rest.Sign != b.Sign ? quotient - 1 : quotient;
    }

    private static double Modulo(double a, double b)
    {
        var rest = a % b;
        return rest != 0 && Math.Sign(rest) != Math.Sign(b) ? rest + b : rest;
    }
}
