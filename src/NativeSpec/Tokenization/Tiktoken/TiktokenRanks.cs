using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Bpe;
using NativeSpec.Tokenization.Json;
using NativeSpec.Tokenization.Patterns;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Tiktoken;

/// <summary>Reads tiktoken ranks: lines of a token's bytes in base64, a space, and its rank, which is also its id. Split pattern and
/// special tokens are not in the file; how many ranks there are tells which model they are of.</summary>
internal static class TiktokenRanks
{
    private const int Gpt2Count = 50256, Llama3Count = 128000, Cl100kCount = 100256, O200kCount = 199998, Llama4Count = 200000, QwenCount = 151643;

    /// <summary>Whether the file begins with a line of ranks.</summary>
    public static bool LooksLike(ReadOnlySpan<byte> file)
    {
        var end = file.IndexOf((byte)'\n');
        var line = (end < 0 ? file : file[..end]).TrimEnd((byte)'\r');
        var space = line.IndexOf((byte)' ');
        return space > 0 && Base64.IsValid(line[..space]) && line[(space + 1)..] is { Length: > 0 } rank
            && rank.IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0;
    }

    /// <summary>Reads the file.</summary>
    public static TokenizerParts Read(string file, ReadOnlySpan<byte> bytes, TokenizerConfig config, LoadLimits limits)
    {
        var ranks = ReadRanks(file, bytes, limits);
        var (name, pattern, added) = ranks.Count switch
        {
            Gpt2Count => ("GPT-2", SplitPatterns.Gpt2, [new(Gpt2Count, "<|endoftext|>", Special: true)]),
            Llama3Count => ("Llama 3", SplitPatterns.Llama3, Llama3SpecialTokens()),
            Cl100kCount => ("cl100k", SplitPatterns.Llama3, Cl100kSpecialTokens()),
            O200kCount => ("o200k", SplitPatterns.O200k, [new(199999, "<|endoftext|>", Special: true), new(200018, "<|endofprompt|>", Special: true)]),
            Llama4Count or QwenCount => throw new ModelFormatException(
                file, $"has the {ranks.Count} ranks of {(ranks.Count == Llama4Count ? "Llama 4" : "Qwen")} but not its special tokens: use the tokenizer.json of that model"),
            _ => throw new ModelFormatException(
                file,
                $"has {ranks.Count} ranks: expected {Gpt2Count} (GPT-2), {Cl100kCount} (cl100k), {Llama3Count} (Llama 3) or {O200kCount} (o200k); the split pattern of others is not in such a file: use tokenizer.json"),
        };

        var tokens = new Vocabulary.Builder(file, limits);
        foreach (var (token, id) in ranks)
        {
            tokens.Add(string.Concat(token.Select(b => ByteAlphabet.Letter(b))), id, token);
        }

        if (tokens.Count != ranks.Count)
        {
            throw new ModelFormatException(file, $"has {ranks.Count} ranks but the highest is {tokens.Count - 1}: expected no gaps");
        }

        foreach (var token in added)
        {
            tokens.AddOrFind(token);
        }

        int? bos = tokens.Ids.TryGetValue(config.BosToken ?? "<|begin_of_text|>", out var id0) ? id0 : null;
        return new()
        {
            Kind = $"tiktoken byte-level BPE ({name})",
            FileName = Path.GetFileName(file),
            Vocabulary = tokens.Build(),
            AddedTokens = [.. added.Select(config.WithRole)],
            Normalizer = new([], limits),
            NormalizeAdded = text => text,
            PreTokenizer = new([new(null, SplitPatterns.Make(pattern, PatternDialect.Perl))]),
            Model = MakeModel(file, ranks, firstId: 0),
            Prefix = ranks.Count == Llama3Count && bos is { } first && (config.AddBos ?? true) ? [first] : [],
            BosId = bos,
            EosIds = EndOfText.Find(config.EosToken, tokens),
        };
    }

    /// <summary>The model of ranks: neighbours merge where their bytes together have a rank, the lowest first.</summary>
    /// <param name="file">The file, for messages.</param>
    /// <param name="ranks">The tokens' bytes and ranks.</param>
    /// <param name="firstId">The id of rank 0.</param>
    /// <param name="needsAllBytes">Whether a byte without a rank is refused; else texts that have it lose it.</param>
    public static ByteBpeModel MakeModel(string file, Dictionary<byte[], int> ranks, int firstId, bool needsAllBytes = true)
    {
        var ids = ranks.ToDictionary(pair => pair.Key, pair => pair.Value + firstId, TokenBytesComparer.Instance);
        return new(ByteIds(file, ids, needsAllBytes), -1, fuseUnknown: false, Merges(file, ids), ids);
    }

    private static Dictionary<byte[], int> ReadRanks(string file, ReadOnlySpan<byte> bytes, LoadLimits limits)
    {
        var ranks = new Dictionary<byte[], int>(TokenBytesComparer.Instance);
        Span<byte> token = stackalloc byte[TokenBytesComparer.MaxTokenBytes];
        var number = 0;
        foreach (var range in bytes.Split((byte)'\n'))
        {
            number++;
            var line = bytes[range].Trim(" \r"u8);
            if (line.IsEmpty)
            {
                continue;
            }

            var space = line.IndexOf((byte)' ');
            var isSound = space > 0
                && Base64.DecodeFromUtf8(line[..space], token, out _, out var length) == OperationStatus.Done && length > 0
                && int.TryParse(line[(space + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var rank)
                && rank < limits.MaxVocabSize && ranks.TryAdd(token[..length].ToArray(), rank);
            if (!isSound)
            {
                throw new ModelFormatException(
                    file,
                    $"line {number} is no rank: expected a new token of at most {TokenBytesComparer.MaxTokenBytes} bytes in base64, a space, and a number below {limits.MaxVocabSize}");
            }
        }

        return ranks;
    }

    private static int[] ByteIds(string file, Dictionary<byte[], int> ranks, bool needsAll)
    {
        var ids = new int[256];
        for (var b = 0; b < ids.Length; b++)
        {
            ids[b] = ranks.TryGetValue([(byte)b], out var id) ? id : !needsAll ? -1 : throw new ModelFormatException(file, $"has no rank for byte 0x{b:X2}: expected all 256");
        }

        return ids;
    }

    // Each token is entered under every pair that spells it. The ids are in the order of the ranks.
    private static MergeTable Merges(string file, Dictionary<byte[], int> ranks)
    {
        var find = ranks.GetAlternateLookup<ReadOnlySpan<byte>>();
        var table = new MergeTable(ranks.Count);
        foreach (var (token, rank) in ranks)
        {
            for (var cut = 1; cut < token.Length; cut++)
            {
                if (find.TryGetValue(token.AsSpan(0, cut), out var left) && find.TryGetValue(token.AsSpan(cut), out var right))
                {
                    table.Set(left, right, rank, rank);
                }
            }

            if (table.Count > MergeTable.MaxDerived)
            {
                throw new ModelFormatException(file, $"its tokens merge from more than {MergeTable.MaxDerived} pairs");
            }
        }

        return table;
    }

    // Llama 3's 256 special tokens, by the names of 3.1; 3.0 calls 128004, 128008 and 128010 reserved as well.
    private static AddedToken[] Llama3SpecialTokens()
    {
        var named = new Dictionary<int, string>
        {
            [0] = "<|begin_of_text|>",
            [1] = "<|end_of_text|>",
            [4] = "<|finetune_right_pad_id|>",
            [6] = "<|start_header_id|>",
            [7] = "<|end_header_id|>",
            [8] = "<|eom_id|>",
            [9] = "<|eot_id|>",
            [10] = "<|python_tag|>",
        };
        var reserved = 0;
        return [.. Enumerable.Range(0, 256).Select(i => new AddedToken(
            Llama3Count + i, named.TryGetValue(i, out var name) ? name : $"<|reserved_special_token_{reserved++}|>", Special: true))];
    }

    private static AddedToken[] Cl100kSpecialTokens() =>
    [
        new(100257, "<|endoftext|>", Special: true),
        new(100258, "<|fim_prefix|>", Special: true),
        new(100259, "<|fim_middle|>", Special: true),
        new(100260, "<|fim_suffix|>", Special: true),
        new(100276, "<|endofprompt|>", Special: true),
    ];
}
