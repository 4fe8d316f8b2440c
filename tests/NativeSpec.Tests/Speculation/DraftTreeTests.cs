using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Tests.Speculation;

public sealed class DraftTreeTests
{
    private DraftTree _tree = null!;

    [SetUp]
    public void Create()
    {
        _tree = new DraftTree(6, 10);
        _tree.BeginRound(3, maxDepth: 2, mostForced: 5);
        _tree.BeginTurn(0, DraftKind.Text, probes: 2);
    }

    [Test]
    public void Add_TheSamePathByTwoDrafters_IsOneNodeThatKnowsBoth()
    {
        var first = _tree.Add(0, 5, rank: 0, confidence: 0.5f);
        _tree.BeginTurn(1, DraftKind.Text, probes: 2);
        Assert.That(_tree.Add(0, 5, rank: 2, confidence: 0.25f), Is.EqualTo(first));
        var proposals = new List<(int, int)>();
        for (var i = _tree.FirstProposal(first); i >= 0; i = _tree.ProposalAt(i).Next)
        {
            proposals.Add((_tree.ProposalAt(i).Drafter, _tree.ProposalAt(i).Rank));
        }

        Assert.That(proposals, Is.EquivalentTo(new[] { (0, 0), (1, 2) }));
    }

    [TestCase(0, -1)]
    [TestCase(0, 10)]
    [TestCase(0, int.MaxValue)]
    [TestCase(1, 5)]
    [TestCase(-1, 5)]
    [TestCase(int.MinValue, 5)]
    public void Add_ATokenOrParentThatDoesNotExist_IsIgnored(int parent, int token)
    {
        Assert.That(_tree.Add(parent, token), Is.EqualTo(-1));
        Assert.That(_tree.AddProbe(parent, token), Is.EqualTo(-1));
        Assert.That(_tree.Count, Is.EqualTo(1));
    }

    [Test]
    public void Add_BelowTheDeepestNode_IsIgnored()
        => Assert.That(_tree.Add(_tree.Add(_tree.Add(0, 1), 1), 1), Is.EqualTo(-1));

    [Test]
    public void Add_PastTheCapacity_IsIgnored()
        => Assert.That(Enumerable.Range(0, 8).Select(token => _tree.Add(0, token)), Is.EqualTo(new[] { 1, 2, 3, 4, 5, -1, -1, -1 }));

    [Test]
    public void AddProbe_BesideACandidateOfItsToken_IsNoCandidate()
    {
        var probe = _tree.AddProbe(0, 4);
        Assert.That(_tree.FindChild(0, 4), Is.EqualTo(-1));
        Assert.That(_tree.Add(probe, 5), Is.EqualTo(-1), "candidates do not hang from probes");
        Assert.That(_tree.FindChild(0, 4), Is.Not.EqualTo(_tree.Add(0, 5)));
        Assert.That(_tree.Add(0, 4), Is.Not.EqualTo(probe));
    }

    [Test]
    public void AddProbe_PastTheRoundsProbes_IsIgnored()
        => Assert.That(Enumerable.Range(0, 3).Select(token => _tree.AddProbe(0, token)), Is.EqualTo(new[] { 1, 2, -1 }));

    [Test]
    public void AddProbe_BelowACandidate_ForcesThePathToIt()
    {
        var other = _tree.Add(0, 1);
        var parent = _tree.Add(0, 2);
        var probe = _tree.AddProbe(parent, 3);
        Assert.That(new[] { 0, other, parent, probe }.Select(_tree.IsForced), Is.EqualTo(new[] { true, false, true, true }));
        Assert.That(_tree.ForcedCount, Is.EqualTo(3));
    }

    [Test]
    public void AddProbe_WhereItsPathWouldForceMoreThanTheRoundsShare_IsIgnored()
    {
        _tree.BeginRound(3, maxDepth: 3, mostForced: 2);
        _tree.BeginTurn(0, DraftKind.Text, probes: 9);
        Assert.That(_tree.AddProbe(_tree.Add(0, 1), 2), Is.EqualTo(-1), "a parent and itself, and there is room for one");
        Assert.That(_tree.AddProbe(0, 2), Is.Positive);
        Assert.That(_tree.AddProbe(0, 3), Is.EqualTo(-1));
    }

    [Test]
    public void Add_BesideSampledChildren_IsIgnored_ButKnowsThoseThatAreThere()
    {
        var certain = _tree.Add(0, 1);
        _tree.BeginTurn(1, DraftKind.Sampled, probes: 0);
        var sampled = _tree.Sample(0, Only(7))!.Draw(new CounterChance(1));
        Assert.That(_tree.Token(sampled), Is.EqualTo(7));
        _tree.BeginTurn(2, DraftKind.Sampled, probes: 0);
        Assert.That(_tree.Add(0, 5), Is.EqualTo(-1));
        Assert.That((_tree.Add(0, 1), _tree.Add(0, 7)), Is.EqualTo((certain, sampled)));
        Assert.That(_tree.Add(sampled, 5), Is.Positive, "below it is another node");
        Assert.That(_tree.Sample(0, Only(5)), Is.Null, "one drafter samples at a node");
    }

    [Test]
    public void Sample_AtACandidate_ForcesThePathToIt_IfThereIsRoom()
    {
        _tree.BeginRound(3, maxDepth: 4, mostForced: 3);
        _tree.BeginTurn(1, DraftKind.Sampled, probes: 0);
        var (deep, next) = (_tree.Add(_tree.Add(0, 1), 2), _tree.Add(0, 3));
        Assert.That(_tree.Sample(deep, Only(7)), Is.Not.Null);
        Assert.That((_tree.IsForced(deep), _tree.IsForced(_tree.Parent(deep)), _tree.IsForced(next)), Is.EqualTo((true, true, false)));
        Assert.That(_tree.Sample(next, Only(7)), Is.Null, "a fourth forced node");
        Assert.That(_tree.Sample(0, Only(7)), Is.Not.Null, "the root is forced already");
    }

    [Test]
    public void Sample_ATokenThatStandsThereAlready_LeavesNothingToDraw()
    {
        _tree.Add(0, 7);
        _tree.BeginTurn(1, DraftKind.Sampled, probes: 0);
        Assert.That(_tree.Sample(0, Only(7)), Is.Null);
    }

    [Test]
    public void Sample_InTheTurnOfADrafterThatDoesNot_IsRefused()
        => Assert.Throws<InvalidOperationException>(() => _tree.Sample(0, Only(7)));

    [Test]
    public void BeginTurn_OfAnEarlierKind_IsRefused()
    {
        _tree.BeginTurn(1, DraftKind.Sampled, probes: 0);
        Assert.Throws<InvalidOperationException>(() => _tree.BeginTurn(2, DraftKind.Computed, probes: 0));
    }

    [Test]
    public void Add_OutsideADraftersTurn_IsIgnored()
    {
        _tree.BeginTurn(1, DraftKind.Sampled, probes: 2);
        var children = _tree.Sample(0, Only(7))!;
        _tree.EndTurn();
        Assert.That((_tree.Add(0, 1), _tree.AddProbe(0, 1), children.Draw(new CounterChance(1))), Is.EqualTo((-1, -1, -1)));
        _tree.BeginRound(3, maxDepth: 2, mostForced: 5);
        Assert.That((_tree.Add(0, 1), _tree.AddProbe(0, 1)), Is.EqualTo((-1, -1)));
    }

    private static TokenDistribution Only(int token)
    {
        var distribution = new TokenDistribution(10);
        distribution.Weights[token] = 1;
        distribution.Normalise(10, isWholeVocabulary: true);
        return distribution;
    }

    [Test]
    public void Token_ANodeThatDoesNotExist_IsRefused()
        => Assert.Throws<ArgumentOutOfRangeException>(() => _tree.Token(1));
}
