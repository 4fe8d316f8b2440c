namespace NativeSpec.Tests.Speculation;

/// <summary>docs/writing-a-drafter.md holds the drafter that is compiled here, word for word.</summary>
internal sealed class WritingADrafterTests
{
    private static readonly string Root = FindRoot();

    [Test]
    public void Document_Code_IsTheDrafterThatIsCompiled()
    {
        var document = Text("docs", "writing-a-drafter.md");
        var source = Text("tests", "NativeSpec.Tests", "Speculation", "BigramDrafter.cs");

        Assert.That(Fenced(document, "csharp"), Is.EqualTo(source.TrimEnd('\n')));
    }

    [Test]
    public void Run_TextThatRepeats_IsDraftedByTheExample()
    {
        var target = ScriptedTarget.Script(50, [.. Enumerable.Range(0, 400).Select(i => i % 11)]);
        using var source = new MyDrafters.BigramDrafter();

        var result = new DrafterHarness { Budget = 8 }.Run(source, target, prompt: [0], newTokens: 200);

        Assert.That(result.TokensPerRound, Is.GreaterThan(6));
    }

    private static string Text(params string[] path) => File.ReadAllText(Path.Combine([Root, .. path])).ReplaceLineEndings("\n");

    /// <summary>The first block of code in a language.</summary>
    private static string Fenced(string document, string language)
    {
        var start = document.IndexOf($"```{language}\n", StringComparison.Ordinal) + language.Length + 4;
        return document[start..document.IndexOf("\n```", start, StringComparison.Ordinal)];
    }

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "NativeSpec.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException($"no NativeSpec.sln above {AppContext.BaseDirectory}");
    }
}
