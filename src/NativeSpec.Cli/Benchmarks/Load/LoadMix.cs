using System.Globalization;
using NativeSpec.Engine;

namespace NativeSpec.Cli.Benchmarks.Load;

/// <summary>How a caller behaves.</summary>
internal enum LoadKind
{
    /// <summary>A short prompt, read to its end.</summary>
    Short,

    /// <summary>A long prompt, read to its end.</summary>
    Long,

    /// <summary>A short prompt whose caller goes away: before the first piece, or after a few.</summary>
    Cancel,

    /// <summary>A short prompt whose caller pauses after every piece.</summary>
    Slow,
}

/// <summary>One request of a load.</summary>
/// <param name="Kind">How its caller behaves.</param>
/// <param name="Prompt">Its tokens.</param>
/// <param name="Options">What is to be written; with a seed, so that it can be written again.</param>
/// <param name="LeavesAfter">For <see cref="LoadKind.Cancel"/>, the pieces after which the caller goes; with 0 it goes within a millisecond or two.</param>
internal sealed record LoadRequest(LoadKind Kind, int[] Prompt, GenerationOptions Options, int LeavesAfter = 0);

/// <summary>Which requests a load has, and how many of each for one another.</summary>
internal sealed class LoadMix
{
    private readonly int[] _parts = new int[Enum.GetValues<LoadKind>().Length]; // [kind]

    /// <summary>Reads <c>short:16,long:2,cancel:1,slow:1</c>; what is not named has no part.</summary>
    /// <exception cref="UsageException">It says something else.</exception>
    public static LoadMix Parse(string text)
    {
        var mix = new LoadMix();
        foreach (var part in text.Split(','))
        {
            var at = part.IndexOf(':', StringComparison.Ordinal);
            if (at < 0 || !int.TryParse(part.AsSpan(at + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count > 1000
                || !Enum.GetNames<LoadKind>().Contains(part[..at], StringComparer.OrdinalIgnoreCase))
            {
                throw new UsageException($"--mix: '{part}' is none of short:N, long:N, cancel:N and slow:N, with N up to 1000");
            }

            mix._parts[(int)Enum.Parse<LoadKind>(part[..at], ignoreCase: true)] = count;
        }

        return mix._parts.Sum() > 0 ? mix : throw new UsageException("--mix: nothing has a part in it");
    }

    /// <summary>Makes requests in the proportions of the mix, every kind that has a part at least once, in a seeded order. Every second one of a kind is sampled, the
    /// others are greedy, unless a temperature is given.</summary>
    /// <param name="count">How many; more where otherwise a kind would be missing.</param>
    /// <param name="prompts">Makes their prompts.</param>
    /// <param name="options">What they have in common.</param>
    /// <param name="lengths">Tokens of a short prompt at most, and of a long one.</param>
    /// <param name="seed">Of everything that is drawn.</param>
    public LoadRequest[] Make(int count, LoadPrompts prompts, GenerationOptions options, (int Short, int Long) lengths, int seed)
    {
        var random = new Random(seed);
        List<LoadRequest> requests = [];
        foreach (var kind in Enum.GetValues<LoadKind>().Where(kind => _parts[(int)kind] > 0))
        {
            var most = Math.Max((int)Math.Round((double)count * _parts[(int)kind] / _parts.Sum()), 1);
            for (var i = 0; i < most; i++)
            {
                var length = kind == LoadKind.Long ? lengths.Long : random.Next(Math.Min(8, lengths.Short), lengths.Short + 1);
                requests.Add(new LoadRequest(
                    kind,
                    prompts.Make(length, random),
                    options with { Seed = (ulong)requests.Count, Temperature = options.Temperature ?? (i % 2 == 0 ? 0 : 0.8f) },
                    random.Next(8)));
            }
        }

        LoadRequest[] shuffled = [.. requests];
        random.Shuffle(shuffled);
        return shuffled;
    }
}

/// <summary>Makes prompts of a wanted number of tokens: from texts, one after the other, or of random tokens.</summary>
/// <param name="texts">The tokens of each text; none for random ones.</param>
/// <param name="vocabSize">Of the model.</param>
internal sealed class LoadPrompts(IReadOnlyList<int[]> texts, int vocabSize)
{
    /// <summary>Makes a prompt.</summary>
    /// <param name="length">Its tokens.</param>
    /// <param name="random">Where to begin.</param>
    public int[] Make(int length, Random random)
    {
        var prompt = new int[length];
        if (texts.Count == 0)
        {
            for (var i = 0; i < length; i++)
            {
                prompt[i] = random.Next(vocabSize);
            }

            return prompt;
        }

        // Short prompts are the ends of texts, where a model knows what is to come.
        var (text, at) = (random.Next(texts.Count), length);
        while (at > 0)
        {
            var tokens = texts[text];
            var taken = Math.Min(at, tokens.Length);
            tokens.AsSpan(tokens.Length - taken).CopyTo(prompt.AsSpan(at - taken));
            (at, text) = (at - taken, (text + 1) % texts.Count);
        }

        return prompt;
    }
}
