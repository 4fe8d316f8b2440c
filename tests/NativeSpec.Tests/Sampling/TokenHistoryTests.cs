using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

internal sealed class TokenHistoryTests
{
    [Test]
    public void Start_Prompt_IsSeenButNotInTheOutput()
    {
        var history = new TokenHistory(10, 8, tracksTokens: true);

        history.Start([3, 1, 3]);

        Assert.That(history.Count, Is.EqualTo(3));
        Assert.That(history.Seen.ToArray(), Is.EqualTo(new SeenToken[] { new(3, 0), new(1, 0) }));
    }

    [Test]
    public void PushAndPop_RandomWalks_AgreeWithCountingAnew()
    {
        var random = new Random(1);
        var history = new TokenHistory(12, 30, tracksTokens: true);
        for (var walk = 0; walk < 50; walk++)
        {
            var prompt = Enumerable.Range(0, random.Next(10)).Select(_ => random.Next(12)).ToArray();
            var output = new Stack<int>();
            history.Start(prompt);
            for (var step = 0; step < 100; step++)
            {
                if (output.Count > 0 && (random.Next(2) == 0 || output.Count == 20))
                {
                    output.Pop();
                    history.Pop();
                }
                else
                {
                    output.Push(random.Next(12));
                    history.Push(output.Peek());
                }

                var path = output.Reverse().ToArray();
                var seen = prompt.Concat(path).Distinct().Select(token => new SeenToken(token, path.Count(p => p == token)));
                Assert.That(history.Seen.ToArray(), Is.EqualTo(seen));
            }
        }
    }

    [Test]
    public void PushAndPop_TokensNotTracked_KeepsTheLengthOnly()
    {
        var history = new TokenHistory(10, 8, tracksTokens: false);
        history.Start([3, 1]);
        history.Push(4);
        history.Push(4);
        history.Pop();

        Assert.That(history.Count, Is.EqualTo(3));
        Assert.That(history.Seen.Length, Is.Zero);
    }

    [Test]
    public void Push_FullOrForeignToken_ThrowsAndChangesNothing([Values] bool tracksTokens)
    {
        var history = new TokenHistory(10, 3, tracksTokens);
        history.Start([1, 2]);

        Assert.That(() => history.Push(10), Throws.ArgumentException);
        Assert.That(() => history.Push(-1), Throws.ArgumentException);
        history.Push(3);
        Assert.That(() => history.Push(3), Throws.InvalidOperationException);
        Assert.That(history.Count, Is.EqualTo(3));
    }

    [Test]
    public void Pop_OutputEmpty_DoesNotEatThePrompt([Values] bool tracksTokens)
    {
        var history = new TokenHistory(10, 3, tracksTokens);
        history.Start([1, 2]);

        Assert.That(history.Pop, Throws.InvalidOperationException);
        Assert.That(history.Count, Is.EqualTo(2));
    }

    [Test]
    public void Start_BadPrompt_LeavesTheHistoryAsItWas()
    {
        var history = new TokenHistory(10, 3, tracksTokens: true);
        history.Start([1, 2]);

        Assert.That(() => history.Start([3, 4, 5, 6]), Throws.ArgumentException.With.Message.Contains("4 tokens"));
        Assert.That(() => history.Start([3, 10]), Throws.ArgumentException.With.Message.Contains("10"));
        Assert.That(history.Seen.ToArray(), Is.EqualTo(new SeenToken[] { new(1, 0), new(2, 0) }));
    }
}
