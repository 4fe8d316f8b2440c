using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Tests.Engine;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Speculation.DraftModels;

/// <summary>One request's drafts, without an engine.</summary>
public sealed class DraftModelSessionTests
{
    private const int Vocab = 300;

    private static readonly SamplingOptions Options = new() { Temperature = 1 };

    private TestFolder _folder = null!;
    private IBackend _backend = null!;

    [SetUp]
    public void Create()
    {
        _folder = new TestFolder();
        _backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
    }

    [TearDown]
    public void Release()
    {
        _backend.Dispose();
        _folder.Dispose();
    }

    /// <summary>Each draft grows on keys and values that earlier drafts left behind: of the text, of the part of the last tree that the text
    /// took, and of the levels above. A session that has none of these must draft the same, bit for bit.</summary>
    [Test]
    public void Propose_OnTheKeysOfEarlierDrafts_DraftsAsFromTheBeginning([Values(1, 3)] int width, [Values] bool draws)
    {
        using var source = Source(new DraftModelOptions { Depth = 5, Width = width, StopBelow = 0 });
        using var going = source.Start(default);
        var random = new Random(7);
        List<int> text = [.. Enumerable.Range(0, 300).Select(_ => random.Next(250))]; // more than is read at once
        var taken = 0;
        for (var round = 0; round < 40; round++)
        {
            var tree = Propose(going, text, draws);
            using (var fresh = source.Start(default))
            {
                Assert.That(Nodes(Propose(fresh, text, draws)), Is.EqualTo(Nodes(tree)), $"round {round}");
            }

            for (var node = tree.FirstChild(0); node >= 0 && tree.Token(node) < 250 && random.Next(4) > 0; node = tree.FirstChild(node))
            {
                text.Add(tree.Token(node));
                taken++;
            }

            text.Add(random.Next(250));
        }

        Assert.That(taken, Is.GreaterThan(20), "or nothing of a draft was ever kept");
    }

    [Test]
    public void Propose_AModelThatBreaks_AddsNothing([Values] bool draws)
    {
        using var source = Source(new DraftModelOptions());
        using var drafter = source.Start(default);
        Assert.That(Propose(drafter, [1, TestFolder.PoisonedToken, 2], draws).Count, Is.EqualTo(1));
        Assert.That(Propose(drafter, [1, TestFolder.PoisonedToken, 2, 3], draws).Count, Is.EqualTo(1), "nor later, nor does it throw");
    }

    /// <summary>A forward of the draft that is as slow as the target's cannot pay, however right it is.</summary>
    [Test]
    public void Propose_ADraftTwiceAsSlowAsTheTarget_IsNotAskedToReadTheText()
    {
        using var source = Source(new DraftModelOptions { StopBelow = 0 });
        using var drafter = source.Start(default);
        Assert.That(Propose(drafter, [1, 2, 3], draws: false).Count, Is.GreaterThan(1));
        var forward = source.Level.FixedSeconds;

        Assert.That(Propose(drafter, [1, 2, 3, 4], draws: false, tokensPerSecond: 2 / forward).Count, Is.EqualTo(1));
        Assert.That(source.Level.FixedSeconds, Is.EqualTo(forward), "nothing was computed");
    }

    private static DraftTree Propose(IDrafter drafter, List<int> text, bool draws, double tokensPerSecond = 0)
    {
        var history = new TokenHistory(Vocab, 1024, tracksTokens: true);
        history.Start([.. text]);
        var context = new DraftContext(new Chooser(Vocab), new SamplingRule(Options, 3, Vocab), history, draws)
        {
            Budget = 32,
            MaxDepth = 32,
            TokensPerSecond = tokensPerSecond,
        };
        context.Append([.. text]);
        var tree = new DraftTree(64, Vocab);
        tree.BeginRound(text[^1], maxDepth: 32, mostForced: tree.Capacity);
        tree.BeginTurn(0, DraftKind.Sampled, probes: 0);
        drafter.Propose(context, tree);
        return tree;
    }

    private static IEnumerable<string> Nodes(DraftTree tree)
    {
        for (var node = 1; node < tree.Count; node++)
        {
            var proposal = tree.ProposalAt(tree.FirstProposal(node));
            yield return $"{tree.Parent(node)}>{tree.Token(node)} {proposal.Rank} {proposal.Confidence:r}";
        }
    }

    private DraftModelSource Source(DraftModelOptions options)
        => new(_folder.Path, Tokenizer.Load(_folder.Path), _backend, _ => new DraftRoom(MaxSequences: 4, MaxContext: 1024, KvTokens: 4096), options);
}
