using System.IO.Compression;
using System.Text;
using System.Text.Json;
using NativeSpec.Cli.Benchmarks;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Cli.Tests;

public sealed class SpeculationCommandTests
{
    private TestFolder _folder = null!;
    private TestFolder _other = null!;
    private string _prompts = null!;

    [OneTimeSetUp]
    public void MakeFolders()
    {
        (_folder, _other) = (new TestFolder(), new TestFolder(seed: 99));
        _prompts = Path.Combine(_folder.Path, "prompts.txt");
        File.WriteAllText(_prompts, "hello hello\nthe cat and the dog\n\n");
    }

    [OneTimeTearDown]
    public void DeleteFolders()
    {
        _folder.Dispose();
        _other.Dispose();
    }

    [Test]
    public async Task Generate_HoweverItSpeculates_WritesThePlainText(
        [Values("auto", "lookup,recycle", "draft", "draft,lookahead")] string method, [Values] bool unplanned)
    {
        string[] args = ["--temperature", "0.8", "--seed", "4", "--max-tokens", "40"];
        var plain = (await Generate([.. args, "--speculate", "off", "--json"])).Json();

        var fast = (await Generate([.. args, "--speculate", method, "--draft-model", _folder.Path, "--lookahead", "3,3,4", "--json", .. unplanned ? ["--unplanned"] : Array.Empty<string>()])).Json();

        Assert.That(fast.Ints("ids"), Is.EqualTo(plain.Ints("ids")));
        var (stats, timings) = (fast.GetProperty("speculation"), fast.GetProperty("timings"));
        Assert.That(stats.Number("emitted"), Is.EqualTo(stats.Number("accepted") + stats.Number("rounds")));
        Assert.That((timings.Number("draft_n"), timings.Number("draft_n_accepted")), Is.EqualTo((stats.Number("drafted"), stats.Number("accepted"))));
        Assert.That(stats.GetProperty("drafters").GetArrayLength(), Is.EqualTo(method == "auto" ? 4 : method.Split(',').Length));
        Assert.That(stats.GetProperty("lossy").GetBoolean(), Is.False);
        Assert.That(plain.GetProperty("speculation").Number("drafted"), Is.Zero);
    }

    [Test]
    public async Task Generate_DraftModelThatIsTheModel_DraftsAsDeepAsAsked()
    {
        var model = SharedModels.Folder("stories260k");
        var json = (await CliRun.Of("generate", "--model", model, "--prompt", "Once", "--temperature", "0", "--max-tokens", "31", "--speculate", "draft", "--unplanned", "--draft-model", model, "--draft-depth", "4", "--draft-width", "2", "--max-nodes", "8", "--ignore-eos", "--json")).Json();

        var draft = json.GetProperty("speculation").GetProperty("drafters").EnumerateArray().Single();
        Assert.That(draft.Ints("accepted_per_position"), Has.Length.LessThanOrEqualTo(4).And.Length.GreaterThan(1));
        Assert.That(json.GetProperty("speculation").Number("tokens_per_round"), Is.GreaterThan(1.5));
    }

    [Test]
    public async Task Generate_LossyTypical_SaysSo()
    {
        var json = (await Generate("--lossy-typical", "0.2,0.5", "--sample-drafts", "--max-tokens", "5", "--draft-model", _other.Path, "--json")).Json();
        Assert.That(json.GetProperty("speculation").GetProperty("lossy").GetBoolean(), Is.True);
    }

    [Test]
    public async Task Generate_Trace_IsALineARound()
    {
        var file = Path.Combine(_folder.Path, "trace.jsonl");
        var json = (await Generate("--temperature", "0", "--max-tokens", "25", "--speculate", "recycle", "--unplanned", "--trace", file, "--json")).Json();

        var lines = File.ReadAllLines(file);
        Assert.That(lines, Has.Length.EqualTo((int)json.GetProperty("speculation").Number("rounds")));
        Assert.That(lines.Select(line => JsonDocument.Parse(line).RootElement.GetProperty("nodes").GetArrayLength()), Has.All.Positive);
        var optimized = await CliRun.Of("tree", "optimize", "--acceptance", file, "--nodes", "5", "--format", "json");
        var tree = optimized.Json();
        Assert.That(tree.Number("nodes"), Is.InRange(2, 5));
        Assert.That(tree.Number("expected_tokens"), Is.GreaterThan(1));
    }

    [TestCase("--speculate", "magic", "magic")]
    [TestCase("--speculate", "draft", "--draft-model")]
    [TestCase("--draft-depth", "3", "--draft-model")]
    [TestCase("--lookahead", "7,5", "W,N,G")]
    [TestCase("--lookahead", "7,1,7", "W,N,G")]
    [TestCase("--lossy-typical", "2,1", "EPS,DELTA")]
    [TestCase("--max-nodes", "0", "1 to 256")]
    public async Task Generate_OptionsThatCannotBe_AreUsageErrors(string option, string value, string expected)
    {
        var run = await Generate(option, value);
        Assert.That((run.Code, run.Out), Is.EqualTo((2, "")));
        Assert.That(run.Error, Does.Contain(expected));
    }

    [Test]
    public async Task Generate_OffWithADrafter_IsAUsageError()
    {
        var run = await Generate("--speculate", "off", "--draft-model", _other.Path);
        Assert.That(run.Code, Is.EqualTo(2));
        Assert.That(run.Error, Does.Contain("--draft-model does not go with --speculate off"));
    }

    [Test]
    public async Task BenchSpeculation_Json_ComparesEveryMethodWithPlain()
    {
        var run = await CliRun.Of("bench", "speculation", "--model", _folder.Path, "--draft-model", _other.Path, "--prompts", _prompts, "--max-tokens", "12", "--temperature", "0.7", "--json");
        var json = run.Json();

        Assert.That(json.Number("prompts"), Is.EqualTo(2));
        var methods = json.GetProperty("methods").EnumerateArray().ToArray();
        Assert.That(methods.Select(m => m.Text("method")), Is.EquivalentTo(new[] { "lookup", "recycle", "lookahead", "draft", "auto", "unplanned" }));
        foreach (var method in methods)
        {
            Assert.That(method.Number("texts_equal"), Is.EqualTo(2), method.Text("method"));
            Assert.That(method.GetProperty("ratio").Number("median"), Is.Positive);
            Assert.That(method.Number("tokens_per_round"), Is.AtLeast(1));
            Assert.That(method.GetProperty("outside_forwards").Number("median"), Is.InRange(0, 1));
        }

        Assert.That(json.GetProperty("plain_outside_forwards").Number("median"), Is.InRange(0, 1));

        var file = Path.Combine(_folder.Path, "bench.json");
        File.WriteAllText(file, run.Out);
        var several = await CliRun.Of("tree", "optimize", "--acceptance", file, "--nodes", "4");
        Assert.That(several.Code, Is.EqualTo(2));
        Assert.That(several.Error, Does.Contain("--drafter"));
    }

    [Test]
    public async Task BenchSpeculation_TableAndMethods_ShowsThoseAskedFor()
    {
        var run = await CliRun.Of("bench", "speculation", "--model", _folder.Path, "--prompts", _prompts, "--max-tokens", "8", "--limit", "1", "--methods", "lookup:unplanned,auto");
        Assert.That((run.Code, run.Error), Is.EqualTo((0, "")));
        Assert.That(run.Out, Does.Contain("lookup:unplanned").And.Contain("1 of 1").And.Not.Contain("recycle"));
    }

    [Test]
    public async Task BenchSpeculation_AShape_MeasuresDraftersOfKnownQuality()
    {
        var json = (await CliRun.Of("bench", "speculation", "--shape", "15m", "--prompts", _prompts, "--limit", "1", "--max-tokens", "24", "--temperature", "1", "--methods", "never,returns", "--json")).Json();
        var methods = json.GetProperty("methods").EnumerateArray().ToArray();
        Assert.That(methods.Select(method => method.Number("texts_equal")), Has.All.EqualTo(1));
        Assert.That(methods[0].Number("accepted"), Is.Zero);
        Assert.That(methods.Select(method => method.GetProperty("drafters")[0].Text("name")), Is.EqualTo(new[] { "never", "returns" }));
    }

    [Test]
    public async Task BenchSpeculation_SeveralCallers_ComparesAutoWithPlainForEachNumberOfThem()
    {
        var json = (await CliRun.Of("bench", "speculation", "--model", _folder.Path, "--draft-model", _other.Path, "--prompts", _prompts, "--max-tokens", "8", "--callers", "1,2", "--json")).Json();
        var results = json.GetProperty("callers").EnumerateArray().ToArray();
        Assert.That(results.Select(result => (result.Number("callers"), Math.Round(result.Number("temperature"), 3))), Is.EqualTo(new[] { (1.0, 0.0), (2.0, 0.0), (1.0, 0.8), (2.0, 0.8) }));
        Assert.That(results.Select(result => (result.Number("texts"), result.Number("texts_equal"))), Has.All.EqualTo((2.0, 2.0)));
        Assert.That(results.Select(result => result.Number("ratio")), Has.All.Positive);
    }

    [TestCase("0")]
    [TestCase("1,,4")]
    [TestCase("many")]
    public async Task BenchSpeculation_CallersThatAreNone_IsAUsageError(string callers)
    {
        var run = await CliRun.Of("bench", "speculation", "--model", _folder.Path, "--prompts", _prompts, "--callers", callers);
        Assert.That(run.Code, Is.EqualTo(2));
        Assert.That(run.Error, Does.Contain("--callers"));
    }

    [TestCase]
    [TestCase("--model", "somewhere", "--shape", "15m")]
    public async Task BenchSpeculation_NeitherOrBothOfModelAndShape_IsAUsageError(params string[] args)
    {
        var run = await CliRun.Of(["bench", "speculation", "--prompts", _prompts, .. args]);
        Assert.That(run.Code, Is.EqualTo(2));
        Assert.That(run.Error, Does.Contain("--shape"));
    }

    [Test]
    public async Task Tune_NotesWhatAutoFollows()
    {
        var (model, other) = (SharedModels.Folder("stories260k"), SharedModels.Folder("stories-xs"));
        var profiles = Directory.CreateTempSubdirectory("nativespec-profile-").FullName;
        Environment.SetEnvironmentVariable("NATIVESPEC_PROFILE_DIR", profiles);
        try
        {
            string[] drafts = ["--draft-model", other, "--draft-model", model];
            var tuned = (await CliRun.Of(["tune", "--model", model, .. drafts, "--prompts", _prompts, "--max-tokens", "16", "--temperature", "0", "--json"])).Json();

            var found = tuned.GetProperty("drafters").EnumerateArray().ToArray();
            Assert.That(found.Select(d => d.Text("name")), Is.EquivalentTo(new[] { "draft", "draft2", "lookup", "recycle", "lookahead" }));
            Assert.That(found.Count(d => d.Text("name").StartsWith("draft", StringComparison.Ordinal) && d.GetProperty("pays").GetBoolean()), Is.AtMost(1), "of the draft models the best at most");
            Assert.That(found.Single(d => d.Text("name") == "draft2").Number("tokens_per_round"), Is.AtLeast(2), "the model itself is always right");
            Assert.That(File.Exists(tuned.Text("profile")), Is.True);

            var auto = (await CliRun.Of(["generate", "--model", model, "--prompt", "Once", "--max-tokens", "5", .. drafts, "--json"])).Json();
            var used = auto.GetProperty("speculation").GetProperty("drafters").EnumerateArray().Select(d => d.Text("name"));
            Assert.That(used, Is.EquivalentTo(found.Where(d => d.GetProperty("pays").GetBoolean()).Select(d => d.Text("name"))));
        }
        finally
        {
            Environment.SetEnvironmentVariable("NATIVESPEC_PROFILE_DIR", "");
            Directory.Delete(profiles, recursive: true);
        }
    }

    [Test]
    public async Task Tune_WithNowhereToNote_IsAUsageErrorBeforeAnyWork()
        => Assert.That((await CliRun.Of("tune", "--model", "nowhere", "--prompts", _prompts)).Code, Is.EqualTo(2));

    [TestCase("json")]
    [TestCase("text")]
    [TestCase("svg")]
    public async Task TreeShow_APublishedTree_PrintsIt(string format)
    {
        var run = await CliRun.Of("tree", "show", "mc_sim_7b_63", "--format", format);
        Assert.That((run.Code, run.Error), Is.EqualTo((0, "")));
        Assert.That(run.Out, Does.Contain(format switch { "json" => "\"mask\"", "svg" => "<svg", _ => "mask:" }));
    }

    [Test]
    public async Task TreeShow_WithoutAName_ListsThem()
        => Assert.That((await CliRun.Of("tree", "show")).Out.Split('\n', StringSplitOptions.RemoveEmptyEntries), Has.Length.EqualTo(9));

    [Test]
    public async Task TreeOptimize_ATable_FindsTheBestTreeByBothMethodsAndShowReadsIt([Values("greedy", "dp")] string method)
    {
        var (table, tree) = (Path.Combine(_folder.Path, "table.json"), Path.Combine(_folder.Path, "tree.json"));
        File.WriteAllText(table, "[[0.6, 0.2], [0.5, 0.1]]");

        var run = await CliRun.Of("tree", "optimize", "--acceptance", table, "--nodes", "4", "--method", method, "--format", "json", "--out", tree);

        Assert.That((run.Code, run.Out, run.Error), Is.EqualTo((0, "", "")));
        using var json = JsonDocument.Parse(File.ReadAllText(tree));
        Assert.That(json.RootElement.Number("expected_tokens"), Is.EqualTo(1 + 0.6 + 0.3 + 0.2).Within(1e-9), "[0], [0, 0] and [1]");
        Assert.That((await CliRun.Of("tree", "show", tree)).Code, Is.Zero);
    }

    [Test]
    public async Task TreeOptimize_AModel_MeasuresAndFindsATree([Values("draft", "recycle")] string drafter)
    {
        var (model, other) = (SharedModels.Folder("stories260k"), SharedModels.Folder("stories-xs"));
        var tree = (await CliRun.Of("tree", "optimize", "--model", model, "--draft-model", other, "--drafter", drafter, "--prompts", _prompts, "--max-tokens", "60", "--temperature", "0", "--nodes", "9", "--format", "json")).Json();

        Assert.That(tree.Number("nodes"), Is.EqualTo(9));
        Assert.That(tree.Number("expected_tokens"), Is.GreaterThan(drafter == "draft" ? 2.2 : 1.3));
    }

    [TestCase("--acceptance FILE, or --model")]
    [TestCase("needs --prompts", "--model", "somewhere")]
    [TestCase("--acceptance FILE, or --model", "--model", "somewhere", "--acceptance", "file")]
    public async Task TreeOptimize_WithoutASource_IsAUsageError(string expected, params string[] args)
    {
        var run = await CliRun.Of(["tree", "optimize", "--nodes", "9", .. args]);
        Assert.That(run.Code, Is.EqualTo(2));
        Assert.That(run.Error, Does.Contain(expected));
    }

    [Test]
    public async Task TreeOptimize_AModelWithoutHeadsOrDraft_AsksWhom()
    {
        var run = await CliRun.Of("tree", "optimize", "--model", _folder.Path, "--prompts", _prompts, "--nodes", "9");
        Assert.That(run.Code, Is.EqualTo(2));
        Assert.That(run.Error, Does.Contain("--drafter").And.Contain("lookup"));
    }

    [TestCase("{}")]
    [TestCase("nonsense")]
    [TestCase("{\"nodes\":[{\"parent\":5}],\"emitted\":[1]}")]
    public async Task TreeOptimize_AFileOfSomethingElse_IsRefused(string text)
    {
        var file = Path.Combine(_folder.Path, "bad.json");
        File.WriteAllText(file, text);
        var run = await CliRun.Of("tree", "optimize", "--acceptance", file, "--nodes", "4");
        Assert.That(run.Code, Is.Not.Zero);
        Assert.That(run.Error, Does.Contain("bad.json"));
    }

    [Test]
    public async Task Convert_SomethingThatIsNoHeads_IsRefusedInALine()
    {
        var run = await CliRun.Of("convert", "--medusa", _prompts, "--out", Path.Combine(_folder.Path, "heads"));
        Assert.That(run.Code, Is.EqualTo(1));
        Assert.That(run.Error, Does.Contain("prompts.txt").And.Not.Contain("   at "));
    }

    [Test]
    public void PromptFile_EveryKind_GivesItsPrompts()
    {
        Assert.That(PromptFile.Read(_prompts, null), Is.EqualTo(new[] { "hello hello", "the cat and the dog" }));
        Assert.That(PromptFile.Read(Write("a.jsonl", "{\"turns\":[\"one\",\"two\"]}\r\n{\"question\":\"three\",\"answer\":\"4\"}\n{\"prompt\":\"five\\n\"}"), null), Is.EqualTo(new[] { "one", "three", "five\n" }));
        Assert.That(PromptFile.Read(_prompts, 1), Has.Count.EqualTo(1));

        var packed = Path.Combine(_folder.Path, "b.jsonl.gz");
        using (var gz = new GZipStream(File.Create(packed), CompressionMode.Compress))
        {
            gz.Write(Encoding.UTF8.GetBytes("{\"prompt\":\"packed\"}\n"));
        }

        Assert.That(PromptFile.Read(packed, null), Is.EqualTo(new[] { "packed" }));
        Assert.That(() => PromptFile.Read(Write("c.jsonl", "{\"prompt\":1}"), null), Throws.InstanceOf<InvalidDataException>().With.Message.Contains("line 1"));
        Assert.That(() => PromptFile.Read(Write("d.jsonl", "{}"), null), Throws.InstanceOf<InvalidDataException>());
        Assert.That(() => PromptFile.Read(Write("e.txt", "\n\n"), null), Throws.InstanceOf<InvalidDataException>());
    }

    private string Write(string name, string text)
    {
        var file = Path.Combine(_folder.Path, name);
        File.WriteAllText(file, text);
        return file;
    }

    private Task<CliRun> Generate(params string[] args) => CliRun.Of(["generate", "--model", _folder.Path, "--prompt", "hello hello", .. args]);
}
