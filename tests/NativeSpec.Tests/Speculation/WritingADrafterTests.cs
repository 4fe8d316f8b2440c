using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Speculation.Verification;

namespace NativeSpec.Tests.Speculation;

/// <summary>docs/writing-a-drafter.md holds the code that is compiled here, word for word.</summary>
internal sealed class WritingADrafterTests
{

    [TestCase(0, "BigramDrafter.cs")]
    [TestCase(1, "UsingADrafter.cs")]
    public void Document_Code_IsWhatIsCompiled(int block, string file)
    {
        var document = Text("docs", "writing-a-drafter.md");
        var source = Text("tests", "NativeSpec.Tests", "Speculation", file);

        Assert.That(Fenced(document, "csharp", block), Is.EqualTo(source.TrimEnd('\n')));
    }

    [Test]
    public async Task UsingADrafter_EveryWay_Drafts()
    {
        using var folder = new TestFolder();
        using var source = new MyDrafters.BigramDrafter();

        using var engine = MyDrafters.UsingADrafter.Load(folder.Path);
        Assert.That(engine.Drafters, Is.EqualTo(new[] { "bigram", "lookup" }));
        using var other = InferenceEngine.Load(folder.Path);
        var result = await MyDrafters.UsingADrafter.WriteAsync(other, "hello", source);
        Assert.That(result.Speculation.Drafters.Select(drafter => drafter.Name), Does.Contain("bigram").And.Contain("lookup"));
        var tree = MyDrafters.UsingADrafter.Propose(source, [5, 6, 7, 5], vocabSize: 10);
        Assert.That(Enumerable.Range(0, tree.Count).Select(tree.Token), Is.EqualTo(new[] { 5, 6, 7, 5, 6, 7, 5, 6, 7 }));
    }

    [Test]
    public void DraftContext_WithoutText_IsRefused() => Assert.Throws<ArgumentOutOfRangeException>(() => _ = new DraftContext([], 8, 8));

    [Test]
    public void Run_TextThatRepeats_IsDraftedByTheExample()
    {
        var target = ScriptedTarget.Script(50, [.. Enumerable.Range(0, 400).Select(i => i % 11)]);
        using var source = new MyDrafters.BigramDrafter();

        var result = new DrafterHarness { Budget = 8 }.Run(source, target, prompt: [0], newTokens: 200);

        Assert.That(result.TokensPerRound, Is.GreaterThan(6));
    }

    private static string Text(params string[] path) => File.ReadAllText(Repository.Find(path)).ReplaceLineEndings("\n");

    /// <summary>A block of code in a language, counted from 0.</summary>
    private static string Fenced(string document, string language, int block)
    {
        var code = document.Split($"```{language}\n")[1 + block];
        return code[..code.IndexOf("\n```", StringComparison.Ordinal)];
    }
}
