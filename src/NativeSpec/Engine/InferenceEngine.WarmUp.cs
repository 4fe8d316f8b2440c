using System.Diagnostics;
using System.Runtime.CompilerServices;
using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine;

/// <summary>From an engine to one whose first request is as fast as its tenth.</summary>
public sealed partial class InferenceEngine
{
    private static readonly TimeSpan LongestWarmUp = TimeSpan.FromSeconds(4);

    /// <summary>What the runtime waits at least before it compiles anew, at full optimisation, what has been called often (tiered compilation).</summary>
    private static readonly TimeSpan TieringTakes = TimeSpan.FromMilliseconds(400);

    /// <summary>Has the engine write short texts until they are written no faster any more, so that the first request finds all code compiled, every
    /// weight read once and each drafter started. Takes about a second where the runtime compiles while it runs, a few passes over the weights where
    /// the program was compiled ahead of time.</summary>
    /// <remarks>The texts go the ways that requests go: a prompt in one piece, decoding, all drafters in one tree, planned and not, greedy and
    /// sampled with filters and penalties, alone and two together. What they teach about acceptance is forgotten; what they teach about the time of
    /// forwards is not. Telemetry counts them as the requests that they are. An engine that has all the requests that it takes is not kept from them: then
    /// warming up ends.</remarks>
    /// <param name="cancellationToken">Ends it; the engine serves requests all the same.</param>
    /// <exception cref="OperationCanceledException">It was ended.</exception>
    public async Task WarmUpAsync(CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        var core = new SpeculationCore(_drafters.All, _speculation.Cost, Config.VocabSize, _speculation.MaxNodes) { NotWorthwhile = _speculation.NotWorthwhile };
        var room = Math.Clamp((MaxContext / 3) - 1, 1, 48);
        var tokens = Math.Clamp((int)(0.1 / _speculation.Cost.At(1, 0)), Math.Min(8, room), room);
        var (began, best, slower) = (Stopwatch.GetTimestamp(), TimeSpan.MaxValue, 0);
        var least = RuntimeFeature.IsDynamicCodeCompiled ? TieringTakes : TimeSpan.Zero;
        IReadOnlyList<int> text = [_checkpoint.EosTokenIds.Count > 0 ? _checkpoint.EosTokenIds[0] : 0];
        while (slower < 2 || Stopwatch.GetElapsedTime(began) < least)
        {
            var pass = Stopwatch.GetTimestamp();
            try
            {
                text = await PassAsync(core, text, tokens, cancellationToken).ConfigureAwait(false);
            }
            catch (EngineBusyException)
            {
                return; // those who keep it busy warm it up
            }

            var took = Stopwatch.GetElapsedTime(pass);
            slower = took < best * 0.95 ? 0 : slower + 1;
            best = took < best ? took : best;
            if (Stopwatch.GetElapsedTime(began) > LongestWarmUp)
            {
                break;
            }
        }
    }

    /// <summary>Writes one text in each of the ways, and returns the sampled one: the next pass goes on from it, so that drafters see the model's
    /// own words.</summary>
    private async Task<IReadOnlyList<int>> PassAsync(SpeculationCore core, IReadOnlyList<int> prompt, int tokens, CancellationToken cancellationToken)
    {
        var greedy = new GenerationOptions { MaxTokens = tokens, Temperature = 0, IgnoreEndOfText = true, Seed = 1, CacheSalt = "warm-up" };
        var sampled = greedy with { Temperature = 1, TopK = 50, TopP = 0.95f, MinP = 0.01f, RepetitionPenalty = 1.01f, TopLogProbs = 1, StopStrings = ["\0\0\0"] };
        var everything = greedy with { Speculation = new SpeculationOptions { Unplanned = true } };
        var first = await WriteAsync(core, prompt, sampled, cancellationToken).ConfigureAwait(false);
        var ids = first?.Ids ?? prompt;
        var words = Tokenizer.Encode(first?.Text ?? "");
        IReadOnlyList<int> own = words.Length == 0 || words.Length > MaxContext / 2 ? ids : words;
        await WriteAsync(core, own, everything, cancellationToken).ConfigureAwait(false);
        await WriteAsync(core, own, greedy, cancellationToken).ConfigureAwait(false);
        await WriteAsync(core, own, greedy with { Speculation = SpeculationOptions.Off }, cancellationToken).ConfigureAwait(false);
        if (_options.MaxSequences > 1)
        {
            await Task.WhenAll(WriteAsync(core, own, everything, cancellationToken), WriteAsync(core, ids, everything, cancellationToken)).ConfigureAwait(false);
        }

        return ids;
    }

    /// <summary>Writes a text; null where it ran into weights that are no numbers, which a request that meets them will say.</summary>
    private async Task<GenerationResult?> WriteAsync(SpeculationCore core, IReadOnlyList<int> prompt, GenerationOptions options, CancellationToken cancellationToken)
    {
        try
        {
            return await LastAsync(Stream(_preparation.Prepare(prompt, options), core, cancellationToken)).ConfigureAwait(false);
        }
        catch (NonFiniteLogitsException)
        {
            return null;
        }
    }
}
