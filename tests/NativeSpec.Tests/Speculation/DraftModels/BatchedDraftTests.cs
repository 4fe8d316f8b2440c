using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Tests.Engine;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Speculation.DraftModels;

/// <summary>Several sequences drafted for at once, and the reading of their texts.</summary>
public sealed class BatchedDraftTests
{
    private const int Vocab = 300;

    private TestFolder _folder = null!;
    private IBackend _backend = null!;

    [OneTimeSetUp]
    public void Create()
    {
        _folder = new TestFolder(maxPositions: 8192);
        _backend = CpuBackend.Create(new CpuOptions { Threads = 2 });
    }

    [OneTimeTearDown]
    public void Release()
    {
        _backend.Dispose();
        _folder.Dispose();
    }

    [Test]
    public void Propose_AnyNumberOfSequences_ComputesOnePassALevel([Values(1, 2, 8)] int count, [Values(1, 3)] int width, [Values] bool samples)
    {
        using var source = Source(new DraftModelOptions { Depth = 5, Width = width, StopBelow = 0 });
        using var texts = new Texts(source, count);
        for (var round = 1; round <= 3; round++)
        {
            texts.Propose(samples);
            Assert.That(source.Computed.Forwards, Is.EqualTo(5 * round));
            texts.Extend();
        }
    }

    /// <summary>Ragged texts, of which some stop earlier than others: each one's tree is that of a session that drafts alone.</summary>
    [Test]
    public void Propose_ManySequences_DraftsEachAsAlone([Values(1, 3)] int width, [Values] bool samples)
    {
        var options = new DraftModelOptions { Depth = 5, Width = width, StopBelow = 0.02f };
        using var source = Source(options);
        using var other = Source(options);
        using var texts = new Texts(source, 6);
        for (var round = 0; round < 6; round++)
        {
            var trees = texts.Propose(samples);
            for (var i = 0; i < trees.Length; i++)
            {
                using var alone = other.Start(default);
                var tree = Tree(texts[i], samples);
                alone.Propose(Context(texts[i], samples), tree);
                Assert.That(Nodes(trees[i]), Is.EqualTo(Nodes(tree)), $"round {round}, sequence {i}");
                Assert.That(tree.Count, Is.GreaterThan(1));
            }

            texts.Extend();
        }
    }

    /// <summary>A twin of the target: all that it drafts becomes text, and one token more. Then a round is to compute the last candidate, which
    /// nothing was drafted after, that token, and the new levels.</summary>
    [Test]
    public void Propose_WhatTheTextTook_GoesThroughTheModelOnce()
    {
        using var source = Source(new DraftModelOptions { Depth = 4, StopBelow = 0 });
        using var texts = new Texts(source, 2, length: 8);
        texts.Propose(samples: false);
        var rows = source.Computed.Rows;
        Assert.That(rows, Is.EqualTo(8 + 9 + (2 * 3)), "the texts, and three of the four candidates each");
        for (var round = 0; round < 5; round++)
        {
            texts.Extend();
            texts.Propose(samples: false);
            Assert.That(source.Computed.Rows - rows, Is.EqualTo(2 * 5), "as many as the text has gained: no token twice");
            rows = source.Computed.Rows;
        }
    }

    [Test]
    public void Read_ALongText_ComputesNoMoreRowsThanItIsGiven()
    {
        using var source = Source(new DraftModelOptions { Depth = 3, StopBelow = 0 });
        using var texts = new Texts(source, 1, length: 2000);
        var reads = 0;
        for (; source.Owed(texts.Batch[0]) > 0; reads++)
        {
            var before = source.Computed;
            source.Read(texts.Batch, 100, CancellationToken.None);
            Assert.That(source.Computed.Forwards - before.Forwards, Is.EqualTo(1));
            Assert.That(source.Computed.Rows - before.Rows, Is.InRange(1, 100));
        }

        Assert.That(reads, Is.EqualTo(20));
        var tree = texts.Propose(samples: false)[0];
        using var fresh = source.Start(default);
        var expected = Tree(texts[0], samples: false);
        fresh.Propose(Context(texts[0], samples: false), expected);
        Assert.That(Nodes(tree), Is.EqualTo(Nodes(expected)));
        Assert.That(tree.Count, Is.EqualTo(4));
    }

    [Test]
    public void Read_SeveralTexts_SharesTheRows()
    {
        using var source = Source(new DraftModelOptions { Depth = 3, StopBelow = 0 });
        using var texts = new Texts(source, 3, length: 400);
        source.Read(texts.Batch, 90, CancellationToken.None);
        Assert.That(Enumerable.Range(0, 3).Select(i => source.Owed(texts.Batch[i])), Is.EqualTo(new[] { 369, 370, 371 }), "400, 401 and 402 tokens");
    }

    [Test]
    public void Propose_ATextThatWasNotRead_IsLeftOutAndItsNeighboursAreNot()
    {
        using var source = Source(new DraftModelOptions { Depth = 3, StopBelow = 0 });
        using var longOne = new Texts(source, 1, length: 400);
        using var texts = new Texts(source, 1, length: 10);
        longOne.Batch.Add(texts.Batch[0]);

        source.Propose(longOne.Batch, CancellationToken.None);

        Assert.That(longOne.Batch[0].Tree.Count, Is.EqualTo(1));
        Assert.That(longOne.Batch[1].Tree.Count, Is.EqualTo(4));
    }

    [Test]
    public void ProposeAndRead_Cancelled_ThrowAndLoseNothing()
    {
        using var source = Source(new DraftModelOptions { Depth = 3, StopBelow = 0 });
        using var texts = new Texts(source, 2, length: 40);
        var cancelled = new CancellationToken(canceled: true);
        Assert.Throws<OperationCanceledException>(() => source.Read(texts.Batch, 64, cancelled));
        Assert.That(source.Owed(texts.Batch[0]), Is.EqualTo(39), "nothing was computed");
        source.Read(texts.Batch, 100, CancellationToken.None);
        Assert.Throws<OperationCanceledException>(() => source.Propose(texts.Batch, cancelled));

        var tree = texts.Propose(samples: false)[0];

        using var fresh = source.Start(default);
        var expected = Tree(texts[0], samples: false);
        fresh.Propose(Context(texts[0], samples: false), expected);
        Assert.That(Nodes(tree), Is.EqualTo(Nodes(expected)));
    }

    /// <summary>A level takes the time of one and a half tokens. One sequence cannot bring more than one by it; four may bring more than that
    /// together.</summary>
    [TestCase(1, false)]
    [TestCase(4, true)]
    public void Propose_ALevelDearerThanAToken_PaysForSeveralSequencesTogether(int count, bool pays)
    {
        using var source = Source(new DraftModelOptions { Depth = 3, StopBelow = 0 });
        source.Level.ObserveSeconds(rows: 1, seconds: 1);
        source.Level.ObserveSeconds(rows: 8, seconds: 1);
        using var texts = new Texts(source, count, tokensPerSecond: 1.5);

        texts.Propose(samples: false);

        Assert.That(source.Computed.Forwards, pays ? Is.GreaterThan(0) : Is.Zero);
        Assert.That(Enumerable.Range(0, count).Select(i => texts.Batch[i].Tree.Count), pays ? Has.All.GreaterThan(1) : Has.All.EqualTo(1));
    }

    /// <summary>The pool has room for one of the texts: the other one is not drafted for, until the first gives its pages back.</summary>
    [Test]
    public void Propose_WithoutRoomInTheCache_AddsNothing()
    {
        using var source = Source(new DraftModelOptions { Depth = 3, StopBelow = 0 }, new DraftRoom(MaxSequences: 2, MaxContext: 512, KvTokens: 128));
        using var second = new Texts(source, 1, length: 200);
        using (var first = new Texts(source, 1, length: 200))
        {
            Assert.That(first.ProposeAlone().Count, Is.EqualTo(4));
            Assert.That(second.ProposeAlone().Count, Is.EqualTo(1));
        }

        Assert.That(second.ProposeAlone().Count, Is.EqualTo(4));
    }

    /// <summary>A text that cannot be drafted for any more leaves its pages to the others.</summary>
    [Test]
    public void Owed_OfATextThatHasOutgrownTheDraft_FreesItsPages()
    {
        using var source = Source(new DraftModelOptions { Depth = 3, StopBelow = 0 }, new DraftRoom(MaxSequences: 1, MaxContext: 64, KvTokens: 64));
        using var texts = new Texts(source, 1, length: 60);
        texts.ProposeAlone();
        Assert.That(source.Cache.FreePages, Is.LessThan(source.Cache.TotalPages));
        texts.Extend();
        texts.Extend();
        Assert.That(texts.ProposeAlone().Count, Is.EqualTo(1));
        Assert.That(source.Cache.FreePages, Is.EqualTo(source.Cache.TotalPages));
    }

    [Test]
    public void Propose_ATextThatOutgrowsTheDraft_AddsNothingAndOwesNothing()
    {
        using var source = Source(new DraftModelOptions { Depth = 8, StopBelow = 0 }, new DraftRoom(MaxSequences: 1, MaxContext: 64, KvTokens: 64));
        foreach (var (length, nodes) in new[] { (50, 9), (60, 5), (63, 2), (64, 1), (65, 1), (400, 1) })
        {
            using var texts = new Texts(source, 1, length);
            Assert.That(texts.ProposeAlone().Count, Is.EqualTo(nodes), $"{length} tokens of 64");
            Assert.That(source.Owed(texts.Batch[0]), Is.Zero);
        }
    }

    private static DraftContext Context(List<int> text, bool samples, double tokensPerSecond = 0)
    {
        var history = new TokenHistory(Vocab, 8192, tracksTokens: true);
        history.Start([.. text]);
        var rule = new SamplingRule(new SamplingOptions { Temperature = 1 }, 3, Vocab);
        var context = new DraftContext(new Chooser(Vocab), rule, history, samples) { Budget = 32, MaxDepth = 32, TokensPerSecond = tokensPerSecond };
        context.Append([.. text]);
        return context;
    }

    private static DraftTree Tree(List<int> text, bool samples)
    {
        var tree = new DraftTree(64, Vocab);
        tree.BeginRound(text[^1], maxDepth: 32, mostForced: tree.Capacity);
        tree.BeginTurn(0, samples ? DraftKind.Sampled : DraftKind.Computed, probes: 0);
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

    private DraftModelSource Source(DraftModelOptions options) => Source(options, new DraftRoom(MaxSequences: 8, MaxContext: 8192, KvTokens: 16384));

    private DraftModelSource Source(DraftModelOptions options, DraftRoom room)
        => new(_folder.Path, Tokenizer.Load(_folder.Path), _backend, _ => room, options);

    /// <summary>Texts that grow by what is drafted for them; the first has the given length, each further one a token more.</summary>
    private sealed class Texts : IDisposable
    {
        private readonly DraftModelSource _source;
        private readonly double _tokensPerSecond;
        private readonly List<int>[] _texts;
        private readonly IDrafter[] _sessions;
        private readonly Random _random = new(7);

        public Texts(DraftModelSource source, int count, int length = 5, double tokensPerSecond = 0)
        {
            (_source, _tokensPerSecond) = (source, tokensPerSecond);
            _texts = [.. Enumerable.Range(0, count).Select(i => Enumerable.Range(0, length + i).Select(_ => _random.Next(250)).ToList())];
            _sessions = [.. _texts.Select(_ => source.Start(default))];
            Fill(samples: false);
        }

        public DraftBatch Batch { get; } = new();

        public List<int> this[int i] => _texts[i];

        public DraftTree[] Propose(bool samples)
        {
            Fill(samples);
            _source.Propose(Batch, CancellationToken.None);
            return [.. Enumerable.Range(0, Batch.Count).Select(i => Batch[i].Tree)];
        }

        public DraftTree ProposeAlone()
        {
            Fill(samples: false);
            _sessions[0].Propose(Batch[0].Context, Batch[0].Tree);
            return Batch[0].Tree;
        }

        /// <summary>Each text takes the first path of its tree, and one token more.</summary>
        public void Extend()
        {
            for (var i = 0; i < _texts.Length; i++)
            {
                var tree = Batch[i].Tree;
                for (var node = tree.FirstChild(0); node >= 0; node = tree.FirstChild(node))
                {
                    _texts[i].Add(tree.Token(node) % 298);
                }

                _texts[i].Add(_random.Next(250));
            }
        }

        public void Dispose() => Array.ForEach(_sessions, session => session.Dispose());

        private void Fill(bool samples)
        {
            Batch.Clear();
            for (var i = 0; i < _texts.Length; i++)
            {
                Batch.Add(new DraftItem(_sessions[i], Context(_texts[i], samples, _tokensPerSecond), Tree(_texts[i], samples)));
            }
        }
    }
}
