using NativeSpec.Loading;
using NativeSpec.Speculation.Medusa;
using NativeSpec.Speculation.TreeLayouts;
using NativeSpec.Tests.Loading;

namespace NativeSpec.Tests.Speculation.Medusa;

public sealed class MedusaTreesTests
{
    /// <summary>Nodes per depth and leaves, as counted in the published lists.</summary>
    [TestCase("mc_sim_7b_63", "10/28/23/2", 42)]
    [TestCase("vicuna_7b_stage1", "10/32/20/1", 44)]
    [TestCase("vicuna_7b_stage1_ablation", "10/21/25/7", 42)]
    [TestCase("vicuna_7b_stage2", "10/23/23/7", 42)]
    [TestCase("vicuna_13b_stage1", "10/29/23/1", 44)]
    [TestCase("vicuna_13b_stage2", "10/19/25/9", 42)]
    [TestCase("vicuna_33b_stage1", "10/34/19", 46)]
    [TestCase("vicuna_33b_stage2", "10/24/24/5", 43)]
    [TestCase("zephyr_stage2", "10/27/23/3", 44)]
    public void Get_APublishedTree_Has63PathsOfAtMost4Heads(string name, string perDepth, int leaves)
    {
        var layout = MedusaTrees.Get(name);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(layout.Count, Is.EqualTo(64));
            Assert.That(layout.Width, Is.EqualTo(10));
            Assert.That(string.Join("/", Enumerable.Range(1, layout.Depth).Select(depth => layout.Depths.Count(depth))), Is.EqualTo(perDepth));
            Assert.That(layout.LeafCount, Is.EqualTo(leaves));
        }
    }

    [Test]
    public void Names_AreTheNinePublished() => Assert.That(MedusaTrees.Names, Has.Count.EqualTo(9).And.Contains(MedusaTrees.Default));

    /// <summary>The deepest paths of two trees, spelled out, so that a slip in the table is seen beyond the counts.</summary>
    [Test]
    public void Get_TwoTrees_HaveTheirDeepestPaths()
    {
        static IEnumerable<int[]> Deepest(TreeLayout layout) => Enumerable.Range(0, layout.Count).Where(node => layout.Depths[node] == 4).Select(layout.Path);
        Assert.That(Deepest(MedusaTrees.Get("mc_sim_7b_63")), Is.EqualTo(new[] { new[] { 0, 0, 0, 0 }, [0, 0, 0, 1] }));
        Assert.That(Deepest(MedusaTrees.Get("zephyr_stage2")), Is.EqualTo(new[] { new[] { 0, 0, 0, 0 }, [0, 0, 0, 1], [0, 0, 1, 0] }));
    }

    [Test]
    public void Get_AnUnknownName_NamesTheKnown() =>
        Assert.That(() => MedusaTrees.Get("vicuna"), Throws.ArgumentException.With.Message.Contains("'vicuna'").And.Message.Contains("vicuna_33b_stage2"));

    [TestCase("[[0], [0, 0], [1]]")]
    [TestCase("[[1],[0,0],[0]]")]
    [TestCase(" my_choices = [(0,), (0, 0), (1,)]\n")]
    [TestCase("((0,), [0, 0,], (1),)")]
    [TestCase("# three paths\n[\n  [0],  # the first\n  [0, 0],\n  [1]]# end")]
    [TestCase("""{"parents": [-1, 0, 0, 1], "ranks": [-1, 0, 1, 0]}""")]
    public void Parse_EverySpelling_IsTheSameTree(string text) =>
        Assert.That(MedusaTrees.Parse("dir/three.txt", text).Parents.ToArray(), Is.EqualTo(new[] { -1, 0, 0, 1 }));

    [TestCase("", "line 1: expected '[' or '('")]
    [TestCase("[", "expected '[' or '('")]
    [TestCase("[[0]", "expected ',' or ']'")]
    [TestCase("[[0)]", "expected ',' or ']'")]
    [TestCase("[[0],\n[0 0]]", "line 2: expected ',' or ']'")]
    [TestCase("[[-1]]", "expected a rank")]
    [TestCase("[[1.5]]", "expected ',' or ']'")]
    [TestCase("[[99999999999]]", "expected a rank")]
    [TestCase("[[0]] x", "something follows the list")]
    [TestCase("name [[0]]", "expected '='")]
    [TestCase("[]", "the tree is empty")]
    [TestCase("[[0, 0]]", "its beginning [0] is not")]
    [TestCase("""{"parents": [-1, 2, 0], "ranks": [-1, 0, 0]}""", "node 1 has parent 2")]
    [TestCase("""{"parents": [-1, 0]}""", "ranks must be an array")]
    [TestCase("""{"parents": [-1, "x"], "ranks": [0, 0]}""", "parents holds \"x\"")]
    [TestCase("{", "is not valid JSON")]
    public void Parse_WhatIsNoTree_IsRefused(string text, string fact) => LoadingTestFiles.Refused(() => MedusaTrees.Parse("t.txt", text), "t.txt", fact);

    [Test]
    public void Parse_AListWithoutEnd_IsRefused() =>
        LoadingTestFiles.Refused(() => MedusaTrees.Parse("t.txt", "[" + string.Concat(Enumerable.Range(0, 5000).Select(rank => $"[{rank}],")) + "]"), "more than");

    [Test]
    public void Load_AFileOrAName_IsFound()
    {
        using var folder = new TempFolder();
        Assert.That(MedusaTrees.Load(folder.Write("mine.json", "[[0]]")).Name, Is.EqualTo("mine"));
        Assert.That(MedusaTrees.Load("zephyr_stage2").Count, Is.EqualTo(64));
        LoadingTestFiles.Refused(() => MedusaTrees.Load(folder["nowhere"]), "neither a file nor the name of a tree", "zephyr_stage2");
    }

    [Test]
    public void Parse_MutatedLists_AreRefusedOrTrees()
    {
        TreeTarget.Accepted = 0;
        new Mutator(21, "[[0], [0, 0], [1], [1, 2], [0, 0, 3]]"u8.ToArray(), """{"parents": [-1, 0, 0, 1], "ranks": [-1, 0, 1, 0]}"""u8.ToArray()).Run<TreeTarget>(10_000);
        Assert.That(TreeTarget.Accepted, Is.InRange(50, 9900));
    }

    private sealed class TreeTarget : IFuzzTarget
    {
        public static int Accepted { get; set; }

        public static void Fuzz(ReadOnlySpan<byte> input)
        {
            try
            {
                var layout = MedusaTrees.Parse("t.txt", System.Text.Encoding.UTF8.GetString(input));
                Accepted++;
                for (var node = 1; node < layout.Count; node++)
                {
                    Assert.That(layout.Parents[node], Is.InRange(0, node - 1));
                }
            }
            catch (ModelFormatException)
            {
                // Refused, as it may be.
            }
        }
    }
}
