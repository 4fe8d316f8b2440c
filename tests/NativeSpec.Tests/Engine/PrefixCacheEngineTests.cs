using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Tests.Engine;

/// <summary>The prefix cache as callers meet it: the same texts, sooner.</summary>
public sealed class PrefixCacheEngineTests : FolderFixture
{
    private const int Page = 64;

    private static readonly GenerationOptions Drawn = Sampled with { Temperature = 0.7f, Seed = null };

    /// <summary>Conversations that begin alike, several at once and turn after turn, in a pool that does not hold them all; with a draft model, whose
    /// own keys and values are shared too.</summary>
    [Test]
    public async Task CompleteAsync_ConversationsThatBeginAlike_AreTheSameWithAndWithoutTheCache([Values] bool draftModel)
    {
        var (cached, plain) = (await Converse(prefixCache: true), await Converse(prefixCache: false));
        Assert.That(plain.Sum(result => result.CachedTokens), Is.Zero);
        Assert.That(cached.Sum(result => result.CachedTokens), Is.GreaterThan(20 * Page), "or nothing was shared");
        for (var i = 0; i < plain.Count; i++)
        {
            Assert.That(cached[i].Ids, Is.EqualTo(plain[i].Ids), $"answer {i}");
            Assert.That(cached[i].LogProbs.Select(p => p.Chosen), Is.EqualTo(plain[i].LogProbs.Select(p => p.Chosen)), $"answer {i}");
        }

        async Task<List<GenerationResult>> Converse(bool prefixCache)
        {
            using var engine = Open(new EngineOptions
            {
                PrefixCache = prefixCache,
                MaxSequences = 4,
                MaxTreeNodes = 8,
                KvTokens = 1100,
                PrefillChunk = 48,
                DraftModels = draftModel ? [FolderPath] : [],
            });
            int[][] texts = [.. Enumerable.Range(0, 6).Select(i => Letters(100 + (i % 2), 150 + i))];
            List<GenerationResult> results = [];
            for (var turn = 0; turn < 3; turn++)
            {
                var answers = await Task.WhenAll(texts.Select((text, i) => engine.CompleteAsync(text, Drawn with
                {
                    Seed = (ulong)i,
                    TopLogProbs = i % 2,
                    Speculation = SpeculationOptions.Auto with { Drafters = draftModel && i % 2 == 0 ? ["draft"] : null },
                })));
                results.AddRange(answers);
                texts = [.. texts.Zip(answers, (text, answer) => (int[])[.. text, .. answer.Ids, .. Letters(turn, 20)])];
            }

            return results;
        }
    }

    [Test]
    public async Task CompleteAsync_TheNextTurn_ComputesOnlyWhatIsNew()
    {
        using var engine = Open(new EngineOptions { Drafters = [] });
        var first = Letters(1, 300);
        var answer = await engine.CompleteAsync(first, Drawn);
        Assert.That((answer.PromptTokens, answer.CachedTokens), Is.EqualTo((300, 0)));

        // All of the first turn's tokens but the answer's last are computed when it ends: 339.
        var next = await engine.CompleteAsync([.. first, .. answer.Ids, 1, 2, 3], Drawn);
        Assert.That((next.PromptTokens, next.CachedTokens), Is.EqualTo((343, 339 / Page * Page)));
        Assert.That((await engine.CompleteAsync(Letters(2, 300), Drawn)).CachedTokens, Is.Zero, "another text");
    }

    [Test]
    public async Task CompleteAsync_WithAnotherSalt_SharesNothing()
    {
        using var engine = Open(new EngineOptions { Drafters = [] });
        var prompt = Letters(1, 200);
        var a = await engine.CompleteAsync(prompt, Drawn with { CacheSalt = "a", Seed = 1 });
        var b = await engine.CompleteAsync(prompt, Drawn with { CacheSalt = "b", Seed = 1 });
        var none = await engine.CompleteAsync(prompt, Drawn with { Seed = 1 });
        var again = await engine.CompleteAsync(prompt, Drawn with { CacheSalt = "a", Seed = 1 });
        Assert.That(new[] { a, b, none, again }.Select(result => result.CachedTokens), Is.EqualTo(new[] { 0, 0, 0, 3 * Page }));
        Assert.That(again.Ids, Is.EqualTo(a.Ids));
        Assert.That(() => engine.GenerateAsync(prompt, Drawn with { CacheSalt = new string('x', 1025) }), Throws.ArgumentException);
    }

    private protected override TestFolder MakeFolder() => new(maxPositions: 1024);

    private static int[] Letters(int seed, int count)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(97, 123))];
    }
}
