using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using NativeSpec.Cli.Benchmarks;
using NativeSpec.Tokenization;

namespace NativeSpec.Cli;

/// <summary>What the commands' JSON has in common.</summary>
internal static class JsonOutput
{
    private static readonly JsonWriterOptions Options = new()
    {
        Indented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, // the output is for programs and people, not for a web page's source
    };

    /// <summary>Prints one object.</summary>
    public static void Print(TextWriter output, Action<Utf8JsonWriter> writeFields)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, Options))
        {
            json.WriteStartObject();
            writeFields(json);
            json.WriteEndObject();
        }

        output.WriteLine(Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length));
        output.Flush();
    }

    /// <summary>A field with token ids.</summary>
    public static void WriteIds(this Utf8JsonWriter json, string name, IEnumerable<int> ids)
    {
        json.WriteStartArray(name);
        foreach (var id in ids)
        {
            json.WriteNumberValue(id);
        }

        json.WriteEndArray();
    }

    /// <summary>A number with all its digits; JSON has none for infinities and NaN, which become their names.</summary>
    public static void WriteFloat(this Utf8JsonWriter json, string name, float value)
    {
        json.WritePropertyName(name);
        json.WriteFloatValue(value);
    }

    /// <summary>An element of an array; see <see cref="WriteFloat"/>.</summary>
    public static void WriteFloatValue(this Utf8JsonWriter json, float value)
    {
        if (float.IsFinite(value))
        {
            json.WriteNumberValue(value);
        }
        else
        {
            json.WriteStringValue(value.ToString(CultureInfo.InvariantCulture));
        }
    }

    /// <summary>A measured number, rounded to what the measurement is worth; 0 where it could not be measured.</summary>
    public static void WriteMeasured(this Utf8JsonWriter json, string name, double value)
        => json.WriteNumber(name, double.IsFinite(value) ? Math.Round(value, 3) : 0);

    /// <summary>Median, least and most of repeated measurements.</summary>
    public static void WriteMeasurement(this Utf8JsonWriter json, string name, Measurement measured)
    {
        json.WriteStartObject(name);
        json.WriteMeasured("median", measured.Median);
        json.WriteMeasured("min", measured.Min);
        json.WriteMeasured("max", measured.Max);
        json.WriteEndObject();
    }

    /// <summary>The fields <c>id</c> and <c>piece</c> of a token.</summary>
    public static void WriteToken(this Utf8JsonWriter json, Tokenizer tokenizer, int id)
    {
        json.WriteNumber("id", id);
        json.WriteString("piece", Piece(tokenizer, id));
    }

    /// <summary>A token's text; nothing for ids by which a model's vocabulary is padded past its tokenizer's.</summary>
    public static string Piece(Tokenizer tokenizer, int id) => id < tokenizer.VocabSize ? tokenizer.TokenText(id) : "";
}
