using NativeSpec.Loading;
using NativeSpec.Sampling;
using NativeSpec.Tokenization;
using NativeSpec.Training.Corpus;

namespace NativeSpec.Training.Data;

/// <summary>A corpus as one stream of tokens: the end-of-text token, a document, the end-of-text token, the next document, …, and the
/// end-of-text token once more. So a document begins as the model's texts begin, and the model learns to end it. Documents are shuffled:
/// neighbours in a corpus are much alike, and a model that may copy from the one before learns less.</summary>
internal static class TokenCorpus
{
    /// <summary>The training text in a folder that <c>nativespec train corpus</c> has written.</summary>
    public const string TrainFile = "train.txt";

    /// <summary>The held-out text beside it.</summary>
    public const string HeldOutFile = "heldout.txt";

    private const ulong ShuffleSeed = 1; // one order for all runs on a text; how it is cut is the run's own matter

    /// <summary>Reads the training text and, where there is one, the held-out text.</summary>
    /// <param name="path">A folder with <see cref="TrainFile"/> and perhaps <see cref="HeldOutFile"/>, or a text file.</param>
    /// <param name="tokenizer">Makes the tokens.</param>
    /// <param name="needed">Tokens of the shortest text that can be learnt from.</param>
    /// <exception cref="ModelFormatException">There is no text, or too little.</exception>
    public static (int[] Train, int[]? HeldOut) Read(string path, Tokenizer tokenizer, int needed)
    {
        var train = TrainPath(path);
        var heldOut = Directory.Exists(path) ? Path.Combine(path, HeldOutFile) : null;
        return (Tokenize(train, tokenizer, needed), heldOut is not null && Path.Exists(heldOut) ? Tokenize(heldOut, tokenizer, needed) : null);
    }

    /// <summary>The file with the training text.</summary>
    public static string TrainPath(string path) => Directory.Exists(path) ? Path.Combine(path, TrainFile) : path;

    /// <summary>The token that stands between documents.</summary>
    /// <exception cref="ModelFormatException">The tokenizer has none.</exception>
    public static int EndOfText(Tokenizer tokenizer)
    {
        if (tokenizer.Encode(CorpusFile.Separator, addSpecial: false, parseSpecial: true) is [var token])
        {
            return token;
        }

        return tokenizer.EosIds.Count > 0 ? tokenizer.EosIds[0] : throw new ModelFormatException(
            tokenizer.Description, $"has no token that ends a text; expected the control token {CorpusFile.Separator} or an eos_token");
    }

    /// <summary>The tokens of a file of documents.</summary>
    public static int[] Tokenize(string file, Tokenizer tokenizer, int needed)
    {
        var documents = CorpusFile.ReadDocuments(file);
        var encoded = new int[documents.Count][];
        Parallel.For(0, encoded.Length, i => encoded[i] = tokenizer.Encode(documents[i], addSpecial: false));
        Shuffle(encoded);
        var end = EndOfText(tokenizer);
        var tokens = new List<int>(encoded.Sum(document => document.Length + 1) + 1) { end };
        foreach (var document in encoded)
        {
            tokens.AddRange(document);
            tokens.Add(end);
        }

        return tokens.Count >= needed
            ? [.. tokens]
            : throw new ModelFormatException(file, $"has {tokens.Count} tokens; one training sequence takes {needed}: give more text, or a smaller --context");
    }

    private static void Shuffle(int[][] documents)
    {
        for (var i = documents.Length - 1; i > 0; i--)
        {
            var j = (int)(CounterRandom.Uniform(ShuffleSeed, i, 0) * (i + 1));
            (documents[i], documents[j]) = (documents[j], documents[i]);
        }
    }
}
