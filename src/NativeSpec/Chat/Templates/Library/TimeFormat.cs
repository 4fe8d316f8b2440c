using System.Globalization;
using System.Text;

namespace NativeSpec.Chat.Templates.Library;

/// <summary>strftime, as the C library writes it for English.</summary>
internal static class TimeFormat
{
    /// <summary>A time in a format of percent signs and letters.</summary>
    public static string Format(Rendering rendering, DateTimeOffset time, string format)
    {
        var text = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                text.Append(format[i]);
                continue;
            }

            rendering.Step();
            var noPadding = format[++i] == '-' && i + 1 < format.Length;
            i += noPadding ? 1 : 0;
            var part = Part(time, format[i]);
            text.Append(part is null ? (noPadding ? "%-" : "%") + format[i] : noPadding ? Unpadded(part) : part);
        }

        return text.ToString();
    }

    private static string Unpadded(string part)
    {
        var trimmed = part.TrimStart('0', ' ');
        return trimmed.Length == 0 ? "0" : trimmed;
    }

    private static string? Part(DateTimeOffset time, char letter)
    {
        var hour12 = time.Hour % 12 == 0 ? 12 : time.Hour % 12;
        var weekday = (int)time.DayOfWeek;
        var dayOfYear = time.DayOfYear;
        return letter switch
        {
            'Y' => In("yyyy"),
            'C' => (time.Year / 100).ToString("00", CultureInfo.InvariantCulture),
            'y' => In("yy"),
            'm' => In("MM"),
            'd' => In("dd"),
            'e' => time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
            'H' => In("HH"),
            'k' => time.Hour.ToString(CultureInfo.InvariantCulture).PadLeft(2),
            'I' => hour12.ToString("00", CultureInfo.InvariantCulture),
            'l' => hour12.ToString(CultureInfo.InvariantCulture).PadLeft(2),
            'M' => In("mm"),
            'S' => In("ss"),
            'f' => In("ffffff"),
            'p' => time.Hour < 12 ? "AM" : "PM",
            'P' => time.Hour < 12 ? "am" : "pm",
            'a' => In("ddd"),
            'A' => In("dddd"),
            'b' or 'h' => In("MMM"),
            'B' => In("MMMM"),
            'j' => dayOfYear.ToString("000", CultureInfo.InvariantCulture),
            'u' => (weekday == 0 ? 7 : weekday).ToString(CultureInfo.InvariantCulture),
            'w' => weekday.ToString(CultureInfo.InvariantCulture),
            'U' => ((dayOfYear + 6 - weekday) / 7).ToString("00", CultureInfo.InvariantCulture),
            'W' => ((dayOfYear + 6 - ((weekday + 6) % 7)) / 7).ToString("00", CultureInfo.InvariantCulture),
            'V' => ISOWeek.GetWeekOfYear(time.DateTime).ToString("00", CultureInfo.InvariantCulture),
            'G' => ISOWeek.GetYear(time.DateTime).ToString(CultureInfo.InvariantCulture),
            'D' or 'x' => In("MM/dd/yy"),
            'F' => In("yyyy-MM-dd"),
            'T' or 'X' => In("HH:mm:ss"),
            'R' => In("HH:mm"),
            'r' => hour12.ToString("00", CultureInfo.InvariantCulture) + In(":mm:ss ") + (time.Hour < 12 ? "AM" : "PM"),
            'c' => In("ddd MMM ") + time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2) + In(" HH:mm:ss yyyy"),
            's' => time.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
            'z' or 'Z' => "", // the time is handed over without a zone
            'n' => "\n",
            't' => "\t",
            '%' => "%",
            _ => null,
        };

        // "%": a format of one letter would be one of .NET's standard formats.
        string In(string pattern) => time.ToString(pattern.Length == 1 ? "%" + pattern : pattern, CultureInfo.InvariantCulture);
    }
}
