using NativeSpec.Speculation;

namespace NativeSpec.Tests.Speculation;

public sealed class DraftTreeTests
{
    private DraftTree _tree = null!;

    [SetUp]
    public void Create()
    {
        _tree = new DraftTree(6, 10);
        _tree.Reset(3, maxDepth: 2);
        _tree.ProbesLeft = 2;
    }

    [Test]
    public void Add_TheSamePathByTwoDrafters_IsOneNodeThatKnowsBoth()
    {
        var first = _tree.Add(0, 5, rank: 0, confidence: 0.5f);
        _tree.CurrentDrafter = 1;
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
    public void Token_ANodeThatDoesNotExist_IsRefused()
        => Assert.Throws<ArgumentOutOfRangeException>(() => _tree.Token(1));
}
