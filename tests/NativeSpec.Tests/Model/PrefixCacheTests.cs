using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Backends;

namespace NativeSpec.Tests.Model;

/// <summary>Which pages are found, kept and given out: a pool of eight pages, no model.</summary>
public sealed class PrefixCacheTests
{
    private const int Page = RowBatch.PageSize;

    private IBackend _backend = null!;
    private KvCache _cache = null!;

    [SetUp]
    public void Make()
    {
        _backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
        _cache = Cache(pages: 8);
    }

    [TearDown]
    public void Release()
    {
        _cache.Dispose();
        _backend.Dispose();
    }

    [Test]
    public void Reuse_ATextThatBeginsAlike_HoldsTheSamePagesAndTakesNoneForThem()
    {
        using var first = Computed(Text(1, 2, 3), spare: 10);
        Assert.That((first.SharedTokens, _cache.FreePages, _cache.CachedPages), Is.EqualTo((3 * Page, 4, 0)));

        using var second = _cache.Open();
        Assert.That(second.Reuse(Text(1, 2, 9)), Is.EqualTo(2 * Page));
        Assert.That(second.Pages.ToArray(), Is.EqualTo(first.Pages[..2].ToArray()));
        Assert.That(_cache.FreePages, Is.EqualTo(4));
    }

    [Test]
    public void Reuse_AWholeText_LeavesItsLastTokenToCompute()
    {
        Computed(Text(1, 2)).Dispose();
        using var same = _cache.Open();
        Assert.That(same.Reuse(Text(1, 2)), Is.EqualTo(Page), "whose logits are asked for");
        using var longer = _cache.Open();
        Assert.That(longer.Reuse([.. Text(1, 2), 5]), Is.EqualTo(2 * Page));
    }

    [Test]
    public void Reuse_EqualTokensAfterOthers_AreNotFound()
    {
        Computed(Text(1, 2, 3)).Dispose();
        using var shifted = _cache.Open();
        Assert.That(shifted.Reuse(Text(2, 3, 1)), Is.Zero, "the second page's tokens at the beginning");
        using var other = Computed(Text(4, 2), spare: Page);
        Assert.That(other.Reuse([.. Text(4, 2, 3), 0]), Is.Zero, "the third page's tokens after another first page");
    }

    [Test]
    public void Reuse_WithAnotherSalt_FindsNothing()
    {
        Computed(Text(1, 2), salt: "a").Dispose();
        int[] text = [.. Text(1, 2), 0];
        foreach (var (salt, found) in new[] { (null, 0), ("b", 0), ("", 0), ("a", 2 * Page) })
        {
            using var sequence = _cache.Open(salt);
            Assert.That(sequence.Reuse(text), Is.EqualTo(found), $"salt {salt}");
        }
    }

    [Test]
    public void Share_WhatAnotherHasComputedToo_KeepsOneOfThem()
    {
        using var first = Computed(Text(1, 2));
        using var second = _cache.TryOpen(2 * Page)!;
        Assert.That(_cache.FreePages, Is.EqualTo(4));
        second.CommitChain(2 * Page);
        second.Share(Text(1, 2));
        Assert.That(second.Pages.ToArray(), Is.EqualTo(first.Pages.ToArray()));
        Assert.That(_cache.FreePages, Is.EqualTo(6));
        first.Dispose();
        Assert.That((_cache.FreePages, _cache.CachedPages), Is.EqualTo((6, 0)), "the other one still holds them");
    }

    /// <summary>Of two with the same prompt at once, the one that is behind goes on where the other is.</summary>
    [Test]
    public void Reuse_WithPagesReserved_ReturnsThoseThatItDoesNotNeed()
    {
        using var ahead = _cache.TryOpen(4 * Page)!;
        using var behind = _cache.TryOpen(4 * Page)!;
        ahead.CommitChain(2 * Page);
        ahead.Share(Text(1, 2, 3, 4));
        Assert.That(behind.Reuse(Text(1, 2, 3, 4)), Is.EqualTo(2 * Page));
        Assert.That((behind.Length, behind.Capacity, _cache.FreePages), Is.EqualTo((2 * Page, 4 * Page, 2)));
    }

    [Test]
    public void TryReserve_WithoutFreePages_TakesThoseThatWereUnusedForLongestFromTheEndOfTheirText()
    {
        Computed(Text(1, 2)).Dispose();
        Computed(Text(3, 4)).Dispose();
        Computed(Text(5, 6)).Dispose();
        using (var used = _cache.Open())
        {
            used.Reuse([.. Text(1, 2), 0]); // now the second is the oldest
        }

        using var fresh = _cache.TryOpen(2 * Page)!; // what holds nothing
        Assert.That(_cache.CachedPages, Is.EqualTo(6));
        using var more = _cache.TryOpen(Page)!;
        Assert.That((Found(3, 4), Found(5, 6), Found(1, 2)), Is.EqualTo((1, 2, 2)));
        using var all = _cache.TryOpen(5 * Page)!;
        Assert.That((_cache.FreePages, _cache.CachedPages, Found(5, 6), Found(1, 2), Found(3, 4)), Is.EqualTo((0, 0, 0, 0, 0)));
        Assert.That(_cache.TryOpen(1), Is.Null);
    }

    [Test]
    public void RootOf_SaltsThatDiffer_AreDifferentRoots()
    {
        var index = new PrefixIndex(1);
        string?[] salts = [null, "", "a", "b", "\uD800", "\uD801", "\uFFFD"];
        Assert.That(salts.Select(index.RootOf), Is.Unique);
        Assert.That(index.RootOf("a"), Is.EqualTo(index.RootOf(new string('a', 1))));
    }

    [Test]
    public void RowToWrite_InASharedPage_IsRefused()
    {
        using var sequence = Computed(Text(1, 2), spare: 4);
        Assert.Throws<InvalidOperationException>(() => sequence.RowToWrite((2 * Page) - 1));
        Assert.DoesNotThrow(() => sequence.RowToWrite(2 * Page));
        Assert.Throws<ArgumentOutOfRangeException>(() => sequence.Truncate((2 * Page) - 1));
    }

    [Test]
    public void Reuse_WhereNothingIsShared_FindsNothing()
    {
        using var cache = new KvCache(_backend, new KvShape(Layers: 1, 8 * Page, Heads: 1, KvHeads: 1, HeadDim: 2), 8);
        using (var sequence = cache.TryOpen(2 * Page)!)
        {
            sequence.CommitChain(2 * Page);
            sequence.Share(Text(1, 2));
        }

        using var next = cache.Open();
        Assert.That((next.Reuse([.. Text(1, 2), 0]), cache.CachedPages), Is.EqualTo((0, 0)));
    }

    /// <summary>Texts that begin alike, split, come and go in a pool that is always too small. A page that is found holds just this beginning, and nobody
    /// is ever given a page that somebody holds.</summary>
    [Test]
    public void AnySequences_HoldWhatTheyShould([Range(0, 9)] int seed)
    {
        var random = new Random(seed);
        using var cache = Cache(pages: 24);
        var written = new string[24]; // what was computed into a page: all the text up to its end
        List<(KvSequence Kv, int[] Text)> live = [];
        var found = 0;
        for (var step = 0; step < 3000; step++)
        {
            if (random.Next(3) == 0 && live.Count > 0)
            {
                var leaver = random.Next(live.Count);
                live[leaver].Kv.Dispose();
                live.RemoveAt(leaver);
            }
            else
            {
                int[] text = [.. Text([.. Enumerable.Range(0, 1 + random.Next(5)).Select(_ => random.Next(2))]), random.Next(2)];
                var kv = cache.Open(random.Next(4) == 0 ? "salt" : null);
                found += kv.Reuse(text) / Page;
                if (!kv.TryReserve(text.Length))
                {
                    kv.Dispose();
                    continue;
                }

                for (var page = 0; page < kv.Pages.Length; page++)
                {
                    if (page >= kv.SharedTokens / Page)
                    {
                        var owner = live.FindIndex(other => other.Kv.Pages.Contains(kv.Pages[page]));
                        Assert.That(owner, Is.EqualTo(-1), "a page that was given out is somebody's");
                        written[kv.Pages[page]] = Beginning(text, page);
                    }
                }

                kv.CommitChain(text.Length - kv.Length);
                kv.Share(text);
                live.Add((kv, text));
            }

            foreach (var (kv, text) in live)
            {
                for (var page = 0; page < kv.SharedTokens / Page; page++)
                {
                    Assert.That(written[kv.Pages[page]], Is.EqualTo(Beginning(text, page)));
                }
            }

            var held = live.SelectMany(sequence => sequence.Kv.Pages.ToArray()).Distinct().Count();
            Assert.That(held + cache.FreePages, Is.EqualTo(cache.TotalPages));
        }

        Assert.That(found, Is.GreaterThan(500), "or nothing was compared");

        static string Beginning(int[] text, int page) => string.Concat(text.Take((page + 1) * Page).Where((_, i) => i % Page == 0));
    }

    /// <summary>A text of whole pages, each of equal tokens.</summary>
    private static int[] Text(params int[] pages) => [.. pages.SelectMany(page => Enumerable.Repeat(page, Page))];

    private KvCache Cache(int pages) => new(_backend, new KvShape(Layers: 1, pages * Page, Heads: 1, KvHeads: 1, HeadDim: 2), 8, sharesPrefixes: true);

    private KvSequence Computed(int[] text, int spare = 0, string? salt = null)
    {
        var sequence = _cache.Open(salt);
        Assert.That(sequence.TryReserve(text.Length + spare));
        sequence.CommitChain(text.Length);
        sequence.Share(text);
        return sequence;
    }

    /// <summary>Pages of a text that are found, without holding them for longer.</summary>
    private int Found(params int[] pages)
    {
        using var sequence = _cache.Open();
        return sequence.Reuse([.. Text(pages), 0]) / Page;
    }
}

/// <summary>A shared page has the bits of a computed one, on every backend: texts that begin alike, computed in chunks or grown from trees.</summary>
[TestFixtureSource(nameof(Cases))]
public sealed class PrefixCacheBitsTests(TestBackend backend)
{
    private static IEnumerable<TestBackend> Cases() => TestBackend.Levels.Concat(TestBackend.Formats);

    [Test]
    public void Forward_AfterSharedPages_HasTheBitsOfAFreshPrefill([Range(0, 1)] int seed)
    {
        using var weights = new SyntheticModel(TestConfigs.Mixed, DType.BF16, 3);
        using var run = new ModelRun(backend.Create(), weights.Config, weights.Tensors, sharesPrefixes: true);
        var random = new Random(seed);
        int[][] beginnings = [Tokens(130), Tokens(130)];
        var found = 0;
        for (var request = 0; request < 8; request++)
        {
            int[] text = [.. beginnings[random.Next(2)][..random.Next(66, 130)], .. Tokens(5)];
            using var shared = run.Cache.Open();
            found += shared.Reuse(text);
            Assert.That(shared.TryReserve(250));
            run.Append(shared, text[shared.Length..], chunk: 1 + random.Next(64));
            for (var round = 0; round < 3; round++)
            {
                var tree = ModelRun.RandomTree(random, 1 + random.Next(20), 300);
                run.Forward((shared, tree));
                var path = ModelRun.PathTo(tree, random.Next(tree.Count));
                shared.Commit(path);
                text = [.. text, .. path.Select(node => tree.Tokens[node])];
                shared.Share(text);
            }

            using var fresh = run.Open();
            run.Append(fresh, text, chunk: 32);
            var probe = ModelRun.RandomTree(random, 9, 300);
            Assert.That(run.Forward((shared, probe))[0], Is.EqualTo(run.Forward((fresh, probe))[0]), $"request {request}");
        }

        Assert.That(found, Is.GreaterThan(RowBatch.PageSize), "or nothing was compared");

        int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(300))];
    }
}
