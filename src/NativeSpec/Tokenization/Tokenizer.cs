using System.Buffers;
using System.Text;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization;

/// <summary>Text to token ids and back, for the tokenizers of Llama-family models. Reads <c>tokenizer.json</c> (BPE, by bytes or with bytes
/// as its fallback, and Unigram), <c>tokenizer.model</c> (sentencepiece BPE and Unigram, or tiktoken ranks), <c>tekken.json</c> and
/// <c>*.tiktoken</c>. Encoding with a tokenizer that was read from files takes O(n log n) time on any text, whatever patterns they hold; one
/// that <see cref="Create"/> made takes the time that its function takes. Safe for use by several threads at once.</summary>
public sealed class Tokenizer
{
    private readonly TokenizerParts _parts;
    private readonly Vocabulary _vocabulary;
    private readonly TokenModel _model;
    private readonly AddedTokenSplitter? _raw, _normalized, _controls;
    private readonly LoadLimits _limits;
    private readonly HashSet<int> _controlIds;

    internal Tokenizer(TokenizerParts parts, LoadLimits limits)
    {
        _parts = parts;
        _vocabulary = parts.Vocabulary;
        _model = parts.Model;
        _limits = limits;
        _raw = AddedTokenSplitter.Create(parts.AddedTokens.Where(t => !t.Normalized), text => text);
        _normalized = AddedTokenSplitter.Create(parts.AddedTokens.Where(t => t.Normalized), parts.NormalizeAdded);
        _controls = AddedTokenSplitter.Create(parts.AddedTokens.Where(t => t.Special || t.Control), text => text);
        _controlIds = [.. parts.AddedTokens.Where(t => t.Special || t.Control).Select(t => t.Id)];
        Description = $"{parts.Kind}, {VocabSize} tokens, {parts.FileName}";
    }

    /// <summary>One more than the highest token id. Ids that the files leave out are counted; they decode to nothing.</summary>
    public int VocabSize => _vocabulary.Count;

    /// <summary>The kind, the size and the file, for people: <c>byte-level BPE, 50257 tokens, tokenizer.json</c>.</summary>
    public string Description { get; }

    /// <summary>The token that begins a text, where the tokenizer's files name one.</summary>
    public int? BosId => _parts.BosId;

    /// <summary>The tokens that end a text, as far as the tokenizer's files name them; <c>generation_config.json</c> may name more.</summary>
    public IReadOnlyList<int> EosIds => _parts.EosIds;

    /// <summary>Whether token ids begin a text with two begin-of-text tokens: a template or a caller wrote one and the tokenizer put another
    /// before it. Models were not trained on that.</summary>
    /// <param name="ids">The tokens of a prompt.</param>
    public bool BeginsTwice(ReadOnlySpan<int> ids) => BosId is { } bos && ids is [var first, var second, ..] && first == bos && second == bos;

    internal bool StripsLeadingSpace => _parts.StripsLeadingSpace;

    /// <summary>Loads the tokenizer of a checkpoint.</summary>
    /// <param name="path">A checkpoint's folder (its <c>tokenizer.json</c> is preferred to its <c>tokenizer.model</c> or single
    /// <c>*.tiktoken</c>), or one of these files. What a file is, is told by its content.</param>
    /// <param name="limits">The most that the files may ask for; null for <see cref="LoadLimits.Default"/>.</param>
    /// <exception cref="ModelFormatException">There is no tokenizer, or it is broken or of a kind that is not supported: the message says
    /// which file, where and what.</exception>
    public static Tokenizer Load(string path, LoadLimits? limits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        limits ??= LoadLimits.Default;
        return new(TokenizerFiles.Read(path, limits), limits);
    }

    /// <summary>Makes a tokenizer of one from elsewhere, for <see cref="Engine.EngineOptions.Tokenizer"/>.</summary>
    /// <param name="definition">Its tokens and how it encodes.</param>
    /// <param name="limits">The most that it may ask for; null for <see cref="LoadLimits.Default"/>.</param>
    /// <exception cref="ArgumentException">The definition contradicts itself: the message says in what.</exception>
    public static Tokenizer Create(TokenizerDefinition definition, LoadLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(definition);
        limits ??= LoadLimits.Default;
        return new(DefinedTokenizer.Parts(definition, limits), limits);
    }

    /// <summary>The token ids of a text.</summary>
    /// <param name="text">The text. Lone surrogates, which have no UTF-8, count as U+FFFD.</param>
    /// <param name="addSpecial">Whether the tokens are added that the tokenizer puts around a text, such as the begin-of-text token.</param>
    /// <param name="parseSpecial">Whether the text of a special token (<c>&lt;|eot_id|&gt;</c>) becomes that token. Added tokens that are not
    /// special (<c>&lt;think&gt;</c>, runs of spaces) are found in any case, as Hugging Face's library does: text of others wants
    /// <see cref="EncodeUntrusted"/>.</param>
    /// <exception cref="ArgumentException">The text is longer than <see cref="LoadLimits.MaxTextLength"/>.</exception>
    public int[] Encode(string text, bool addSpecial = true, bool parseSpecial = false) =>
        Encode(text, addSpecial, parseSpecial ? SoughtTokens.All : SoughtTokens.Ordinary);

    /// <summary>The token ids of text that others wrote, with nothing put around it. No token in it can steer the model: not those that are
    /// marked special, not those with a role in the checkpoint's files, and none that the chat template writes, marked or not.</summary>
    /// <param name="text">The text, as for <see cref="Encode(string, bool, bool)"/>.</param>
    /// <exception cref="ArgumentException">The text is longer than <see cref="LoadLimits.MaxTextLength"/>.</exception>
    public int[] EncodeUntrusted(string text) => Encode(text, addSpecial: false, SoughtTokens.Harmless);

    /// <summary>The token ids of text of which some parts are trusted and the rest others wrote, with nothing put around it. Tokens that steer the
    /// model are found within the trusted parts alone; all else is one text, so that it has the ids it would have without them.</summary>
    /// <param name="text">The text, as for <see cref="Encode(string, bool, bool)"/>.</param>
    /// <param name="trusted">The trusted parts, in order.</param>
    internal int[] EncodePartlyTrusted(string text, IEnumerable<(int Start, int End)> trusted)
    {
        text = Checked(text);
        var ids = new List<int>((text.Length / 4) + 8);
        var encoder = _model.CreateEncoder();
        foreach (var segment in _controls?.Split(text, trusted) ?? (text.Length == 0 ? [] : [new Segment(0, text.Length, -1)]))
        {
            if (segment.TokenId >= 0)
            {
                ids.Add(segment.TokenId);
            }
            else
            {
                EncodeText(text[segment.Start..segment.End], segment.Start == 0, SoughtTokens.Harmless, encoder, ids);
            }
        }

        return [.. ids];
    }

    private string Checked(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.Length <= _limits.MaxTextLength
            ? CharClasses.WithoutLoneSurrogates(text)
            : throw new ArgumentException($"the text has {text.Length} characters: the most is {_limits.MaxTextLength} (LoadLimits.MaxTextLength)");
    }

    /// <summary>The tokens of a text and the characters that each stands for.</summary>
    /// <param name="text">The text, as for <see cref="Encode(string, bool, bool)"/>.</param>
    /// <param name="addSpecial">Whether the tokens are added that the tokenizer puts around a text.</param>
    /// <param name="parseSpecial">Whether the text of a special token becomes that token.</param>
    /// <param name="normalize">Whether the text is normalized; false for a text that has been.</param>
    /// <param name="split">Whether the text is cut into words before anything merges. Without it tokens may cross words: models were not trained on that.</param>
    /// <exception cref="ArgumentException">The text is longer than <see cref="LoadLimits.MaxTextLength"/>.</exception>
    public EncodedText EncodeWithOffsets(string text, bool addSpecial = true, bool parseSpecial = false, bool normalize = true, bool split = true)
    {
        var spans = new SpanEncoder(_model.CreateEncoder(), _vocabulary);
        Encode(Checked(text), addSpecial, parseSpecial ? SoughtTokens.All : SoughtTokens.Ordinary, spans, normalize, split);
        return spans.Result(text);
    }

    private int[] Encode(string text, bool addSpecial, SoughtTokens sought) => Encode(Checked(text), addSpecial, sought, _model.CreateEncoder());

    private int[] Encode(string text, bool addSpecial, SoughtTokens sought, PieceEncoder encoder, bool normalize = true, bool cut = true)
    {
        var ids = new List<int>((text.Length / 4) + 8);
        foreach (var id in addSpecial ? _parts.Prefix : [])
        {
            encoder.Add(id, "", ids);
        }

        EncodeText(text, isStart: true, sought, encoder, ids, normalize, cut);
        foreach (var id in addSpecial ? _parts.Suffix : [])
        {
            encoder.Add(id, "", ids);
        }

        return [.. ids];
    }

    private void EncodeText(string text, bool isStart, SoughtTokens sought, PieceEncoder encoder, List<int> ids, bool normalize = true, bool cut = true)
    {
        foreach (var segment in Split(_raw, text, sought))
        {
            if (segment.TokenId >= 0)
            {
                encoder.Add(segment.TokenId, text.AsSpan(segment.Start..segment.End), ids);
                continue;
            }

            var normalized = text[segment.Start..segment.End];
            normalized = normalize ? _parts.Normalizer.Apply(normalized, isStart: isStart && segment.Start == 0) : normalized;
            foreach (var part in Split(_normalized, normalized, sought))
            {
                if (part.TokenId >= 0)
                {
                    encoder.Add(part.TokenId, normalized.AsSpan(part.Start..part.End), ids);
                    continue;
                }

                _parts.PreTokenizer.Encode(normalized.AsSpan(part.Start..part.End), isStart && segment.Start == 0 && part.Start == 0, encoder, ids, cut);
            }
        }
    }

    /// <summary>The text of token ids. Bytes that are no UTF-8 become U+FFFD, one for each longest piece of a sequence.</summary>
    /// <param name="ids">The tokens.</param>
    /// <param name="skipSpecial">Whether control tokens add nothing; else they add their text.</param>
    /// <param name="atTextStart">Whether the tokens begin a text. Then tokenizers that put a space before every text (the Llama-2 kind)
    /// take one leading space away again. False for the continuation of a prompt, whose first space is part of the text.</param>
    /// <exception cref="ArgumentOutOfRangeException">An id is not in the vocabulary.</exception>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecial = true, bool atTextStart = true)
    {
        var output = new ArrayBufferWriter<byte>(Math.Max(16, ids.Length * 4));
        var detokenizer = CreateDetokenizer(skipSpecial, atTextStart);
        foreach (var id in ids)
        {
            detokenizer.Append(id, output);
        }

        detokenizer.Flush(output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    /// <summary>A detokenizer that takes tokens one by one.</summary>
    /// <param name="skipSpecial">Whether control tokens add nothing; else they add their text.</param>
    /// <param name="atTextStart">Whether the first token begins a text, as for <see cref="Decode"/>. The default is that it continues a
    /// prompt, so that a leading space is kept.</param>
    public StreamingDetokenizer CreateDetokenizer(bool skipSpecial = true, bool atTextStart = false) => new(this, skipSpecial, atTextStart);

    /// <summary>The exact bytes that a token adds to a text; they need not be whole UTF-8 sequences.</summary>
    /// <param name="id">The token.</param>
    /// <param name="includeSpecial">Whether a control token has its text as its bytes; else it has none.</param>
    /// <exception cref="ArgumentOutOfRangeException">The id is not in the vocabulary.</exception>
    public ReadOnlySpan<byte> TokenBytes(int id, bool includeSpecial = false) =>
        IsSpecial(id) && !includeSpecial ? [] : _vocabulary.Bytes(id);

    /// <summary>A token for display: its text, or <c>&lt;0xE2&gt;</c> for each byte where its bytes are no text by themselves.</summary>
    /// <param name="id">The token.</param>
    /// <exception cref="ArgumentOutOfRangeException">The id is not in the vocabulary.</exception>
    public string TokenText(int id)
    {
        var bytes = TokenBytes(id, includeSpecial: true);
        if (System.Text.Unicode.Utf8.IsValid(bytes))
        {
            return Encoding.UTF8.GetString(bytes);
        }

        var text = new StringBuilder();
        foreach (var value in bytes)
        {
            text.Append("<0x").Append(value.ToString("X2", null)).Append('>');
        }

        return text.ToString();
    }

    /// <summary>Whether a token is a control token.</summary>
    /// <param name="id">The token.</param>
    /// <exception cref="ArgumentOutOfRangeException">The id is not in the vocabulary.</exception>
    public bool IsSpecial(int id)
    {
        if ((uint)id >= (uint)VocabSize)
        {
            throw new ArgumentOutOfRangeException(nameof(id), id, $"token ids of this tokenizer are 0 to {VocabSize - 1}");
        }

        return _vocabulary.IsSpecial(id);
    }

    /// <summary>Whether a token steers the model: it is special, or the chat template writes it.</summary>
    internal bool IsControl(int id) => _controlIds.Contains(id);

    private static List<Segment> Split(AddedTokenSplitter? splitter, string text, SoughtTokens sought) =>
        splitter is not null ? splitter.Split(text, sought) : text.Length == 0 ? [] : [new(0, text.Length, -1)];
}
