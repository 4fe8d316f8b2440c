using System.Text.Encodings.Web;
using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Bpe;
using NativeSpec.Training.Corpus;

namespace NativeSpec.Training.Tokenizers;

/// <summary>A byte-level BPE vocabulary: id 0 is the control token <c>&lt;|endoftext|&gt;</c>, ids 1 to 256 are the bytes, the rest was learnt.</summary>
public sealed class BpeVocabulary
{
    private readonly IReadOnlyList<byte[]> _tokens;
    private readonly IReadOnlyList<(int Left, int Right)> _merges;

    internal BpeVocabulary(IReadOnlyList<byte[]> tokens, IReadOnlyList<(int Left, int Right)> merges) => (_tokens, _merges) = (tokens, merges);

    /// <summary>How many tokens there are.</summary>
    public int Count => _tokens.Count;

    /// <summary>How many merges were learnt; more than tokens where two of them spell the same bytes.</summary>
    public int Merges => _merges.Count;

    internal IEnumerable<(int Left, int Right)> MergePairs => _merges;

    /// <summary>The bytes of a token; none for the control token.</summary>
    /// <param name="id">The token.</param>
    public ReadOnlySpan<byte> Bytes(int id) => _tokens[id];

    /// <summary>Writes <c>tokenizer.json</c> in the format of Hugging Face's tokenizers, which puts the control token before every text, and
    /// beside it <c>tokenizer_config.json</c>, which names that token as the one that begins and ends texts.</summary>
    /// <param name="path">The file <c>tokenizer.json</c>; one that exists is replaced when the new one is whole.</param>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public void Write(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        AtomicFile.Write(path, stream =>
        {
            using var json = new Utf8JsonWriter(stream, new() { Indented = true, IndentSize = 1, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
            Write(json);
        });
        AtomicFile.Write(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, "tokenizer_config.json"), stream =>
        {
            using var json = new Utf8JsonWriter(stream, new() { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
            json.WriteStartObject();
            json.WriteString("tokenizer_class", "PreTrainedTokenizerFast");
            json.WriteString("bos_token", CorpusFile.Separator);
            json.WriteString("eos_token", CorpusFile.Separator);
            json.WriteEndObject();
        });
    }

    private void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("version", "1.0");
        json.WriteNull("truncation");
        json.WriteNull("padding");
        json.WriteStartArray("added_tokens");
        json.WriteStartObject();
        json.WriteNumber("id", 0);
        json.WriteString("content", CorpusFile.Separator);
        foreach (var flag in (string[])["single_word", "lstrip", "rstrip", "normalized"])
        {
            json.WriteBoolean(flag, false);
        }

        json.WriteBoolean("special", true);
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteNull("normalizer");
        WriteByteLevel(json, "pre_tokenizer");
        WritePostProcessor(json);
        WriteByteLevel(json, "decoder");
        WriteModel(json);
        json.WriteEndObject();
    }

    private static void WriteByteLevel(Utf8JsonWriter json, string name)
    {
        json.WriteStartObject(name);
        json.WriteString("type", "ByteLevel");
        json.WriteBoolean("add_prefix_space", false);
        json.WriteBoolean("trim_offsets", true);
        json.WriteBoolean("use_regex", true);
        json.WriteEndObject();
    }

    // The control token, then the text (A), or two texts (A, B).
    private static void WritePostProcessor(Utf8JsonWriter json)
    {
        json.WriteStartObject("post_processor");
        json.WriteString("type", "TemplateProcessing");
        foreach (var (name, texts) in (ReadOnlySpan<(string, string)>)[("single", "A"), ("pair", "AB")])
        {
            json.WriteStartArray(name);
            WritePart(json, "SpecialToken", CorpusFile.Separator);
            foreach (var text in texts)
            {
                WritePart(json, "Sequence", text.ToString());
            }

            json.WriteEndArray();
        }

        json.WriteStartObject("special_tokens");
        json.WriteStartObject(CorpusFile.Separator);
        json.WriteString("id", CorpusFile.Separator);
        json.WriteStartArray("ids");
        json.WriteNumberValue(0);
        json.WriteEndArray();
        json.WriteStartArray("tokens");
        json.WriteStringValue(CorpusFile.Separator);
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WritePart(Utf8JsonWriter json, string kind, string id)
    {
        json.WriteStartObject();
        json.WriteStartObject(kind);
        json.WriteString("id", id);
        json.WriteNumber("type_id", 0);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private void WriteModel(Utf8JsonWriter json)
    {
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        json.WriteNull("dropout");
        json.WriteNull("unk_token");
        json.WriteNull("continuing_subword_prefix");
        json.WriteNull("end_of_word_suffix");
        json.WriteBoolean("fuse_unk", false);
        json.WriteBoolean("byte_fallback", false);
        json.WriteBoolean("ignore_merges", false);
        json.WriteStartObject("vocab");
        for (var id = 0; id < _tokens.Count; id++)
        {
            json.WriteNumber(id == 0 ? CorpusFile.Separator : Letters(id), id);
        }

        json.WriteEndObject();
        json.WriteStartArray("merges");
        foreach (var (left, right) in _merges)
        {
            json.WriteStringValue($"{Letters(left)} {Letters(right)}");
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private string Letters(int id) => string.Concat(_tokens[id].Select(ByteAlphabet.Letter));
}
