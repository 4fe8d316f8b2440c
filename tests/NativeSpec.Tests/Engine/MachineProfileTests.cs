using System.Text;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Tests.Engine;

public sealed class MachineProfileTests
{
    private const string Key = "a machine and a model";
    private string _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("nativespec-profile-").FullName;

    [TearDown]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void Open_AfterSave_KnowsTheCurveAndTheTuning()
    {
        var written = MachineProfile.Open(Path.Combine(_folder, "new"), Key);
        written.KeepCost(new CostCurve([1, 2, 4], [32, 900], [0.01, 0.0125, 0.02, 0.02, 0.025, 0.04]), maxNodes: 6, maxContext: 1000);
        written.Tune("draft /models/small", new DrafterTuning("draft", true, 4, 2));
        written.Tune("lookup", new DrafterTuning("lookup", false));
        written.Save();

        var read = MachineProfile.Open(Path.Combine(_folder, "new"), Key);

        Assert.That(read.KnownCost(6, 1000)!.Seconds.ToArray(), Is.EqualTo(new[] { 0.01, 0.0125, 0.02, 0.02, 0.025, 0.04 }));
        Assert.That(read.KnownCost(6, 1000)!.Contexts.ToArray(), Is.EqualTo(new[] { 32, 900 }));
        Assert.That(read.KnownCost(7, 1000), Is.Null, "it was not asked to go so far");
        Assert.That(read.KnownCost(6, 1001), Is.Null, "nor for so long a context");
        Assert.That(read.TunedDraft("draft /models/small"), Is.EqualTo(new DraftModelOptions { Depth = 4, Width = 2 }));
        Assert.That(read.Tuned("lookup")!.Pays, Is.False);
        Assert.That(Directory.GetFiles(Path.Combine(_folder, "new")), Has.Length.EqualTo(1), "nothing unfinished is left behind");
    }

    [Test]
    public void TryRead_WhatWasRendered_KnowsTheEstimates()
    {
        var file = Path.Combine(_folder, "profile");
        var (content, counts) = (new ProfileContent(Key), new (double, double)[AcceptanceEstimates.CountsPerDrafter]);
        (counts[0], counts[^1]) = ((1, 2), (3, 4.5));
        content.Acceptance["draft /models/small"] = counts;
        content.Mixer["lookup"] = [1, 0.9, -0.25, 0, 1, 1e-3, 0.5];
        File.WriteAllBytes(file, ProfileJson.Render(content));

        var read = ProfileJson.TryRead(file, Key)!;

        Assert.That(read.Acceptance["draft /models/small"], Is.EqualTo(counts));
        Assert.That(read.Mixer["lookup"], Is.EqualTo(content.Mixer["lookup"]));
        Assert.That(read.Mixer["lookup"], Has.Length.EqualTo(LogisticMixer.WeightsPerDrafter));
    }

    /// <summary>What the version before kept: counts of other cells, and of pairs. It is measured anew.</summary>
    [Test]
    public void Open_AProfileOfTheVersionBefore_KnowsNothing()
    {
        var file = Written();
        File.WriteAllText(file, $$$$"""
            {"version":4,"key":"{{{{Key}}}}","cost":{"max_nodes":2,"max_context":64,"nodes":[1,2],"contexts":[32],"seconds":[0.25,0.5]},
             "acceptance":{"lookup":[[0,1,2],[167,3,4]]},"joint":{"draft":{"lookup":[[21,3,4]],"":[[0,1,1]]}},"tuning":{"draft":{"pays":true,"depth":4,"width":1}}}
            """);
        Assert.That(MachineProfile.Open(_folder, Key).KnownCost(1, 1), Is.Null);
        Assert.That(MachineProfile.Open(_folder, Key).Tuned("draft"), Is.Null);
    }

    [Test]
    public void Open_ForAnotherKey_KnowsNothing()
    {
        Written();
        Assert.That(MachineProfile.Open(_folder, Key + "!").KnownCost(1, 1), Is.Null);

        // The same file name does not do either: the key inside counts.
        File.Move(Directory.GetFiles(_folder).Single(), Path.Combine(_folder, ProfileKey.FileName("another")));
        Assert.That(MachineProfile.Open(_folder, "another").KnownCost(1, 1), Is.Null);
    }

    [Test]
    public void Open_ADamagedFile_KnowsNothingAndDoesNotThrow()
    {
        var file = Written();
        var whole = File.ReadAllBytes(file);
        string[] damaged =
        [
            "", "{", "[]", "nonsense", "{\"version\":3}", "{\"version\":5,\"key\":\"a machine and a model\"}",
            .. new[] { ("[1,2]", "[2,1]"), ("[1,2]", "[1]"), ("[32]", "[32,64]"), ("[32]", "[-1]"), ("0.25", "-1"), ("0.25", "1e999"), ("\"pays\":true", "\"pays\":7"), ("\"depth\":4", "\"depth\":4000"), ("[[0,1,2]]", "[[99999,1,2]]"), ("[[0,1,2]]", "[[0,3,2]]"), ("[[0,1,2]]", "[[]]"), ("[[0,1,2]]", "[[84,1,2]]"), ("[1,1,0,0,1,1,0]", "[1,1,0,0,1,1]"), ("[1,1,0,0,1,1,0]", "[1,1,0,0,1,1,-1000]"), ("[1,1,0,0,1,1,0]", "7"), ("\"mixer\"", "\"hinge\""), ("\"version\":5", "\"version\":4") }
                .Select(change => Encoding.UTF8.GetString(whole).Replace("\"acceptance\":{}", "\"acceptance\":{\"lookup\":[[0,1,2]]}").Replace("\"mixer\":{}", "\"mixer\":{\"draft\":[1,1,0,0,1,1,0]}").Replace(change.Item1, change.Item2)),
        ];
        foreach (var text in damaged)
        {
            File.WriteAllText(file, text);
            Assert.That(MachineProfile.Open(_folder, Key).KnownCost(1, 1), Is.Null, text);
        }

        File.WriteAllBytes(file, whole);
        Assert.That(MachineProfile.Open(_folder, Key).KnownCost(1, 1), Is.Not.Null, "so the damage is what was refused");
    }

    [Test]
    public void TrySave_WhereNothingCanBeWritten_DoesNotThrow()
    {
        var file = Path.Combine(_folder, "file");
        File.WriteAllText(file, "");
        var profile = MachineProfile.Open(file, Key); // a file is in the folder's place
        Assert.That(profile.TrySave, Throws.Nothing);
        Assert.That(profile.Save, Throws.InstanceOf<IOException>());
    }

    [Test]
    public async Task Load_ASecondTime_KnowsCurveAndAcceptanceAndTuning()
    {
        var model = SharedFiles.Require("models", "stories260k"); // trained, so that it drafts with confidence
        var options = new EngineOptions { ProfileDirectory = _folder, DraftModels = [model], CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 1 }) };
        using (var engine = InferenceEngine.Load(model, options))
        {
            var unplanned = new GenerationOptions { MaxTokens = 20, Temperature = 0, IgnoreEndOfText = true, Speculation = new() { Drafters = ["draft"], Unplanned = true } };
            await engine.CompleteAsync(new[] { 72, 101 }, unplanned);
            engine.SaveTuning([new DrafterTuning("lookup", false), new DrafterTuning("draft", true, 2, 1)]);
        }

        var file = Directory.GetFiles(_folder).Single();
        var curve = CurveOf(file);
        using (var engine = InferenceEngine.Load(model, options))
        {
            Assert.That(CurveOf(file), Is.EqualTo(curve), "not measured again");
            var auto = await engine.CompleteAsync(new[] { 72, 101 }, new GenerationOptions { MaxTokens = 20, Temperature = 0, IgnoreEndOfText = true });
            Assert.That(auto.Speculation.Drafters.Select(d => d.Name), Has.None.EqualTo("lookup").And.Member("draft"));
            var named = await engine.CompleteAsync(new[] { 72, 101 }, new GenerationOptions { MaxTokens = 20, Temperature = 0, IgnoreEndOfText = true, Speculation = new() { Drafters = ["lookup", "draft"], Unplanned = true } });
            Assert.That(named.Speculation.Drafters.Select(d => d.Name), Is.EquivalentTo(new[] { "lookup", "draft" }), "who names a drafter gets it");
            Assert.That(named.Speculation.Drafters.Single(d => d.Name == "draft").AcceptedPerPosition, Has.Count.EqualTo(2), "the tuned depth");
        }

        Assert.That(File.ReadAllText(file), Does.Contain("\"draft " + model), "its acceptance is kept under where it is");
        using var anew = InferenceEngine.Load(model, options with { MeasureAnew = true });
        Assert.That(CurveOf(file), Is.Not.EqualTo(curve));
    }

    [Test]
    public void SaveTuning_WithoutAProfileOrForAnUnknownDrafter_IsRefused()
    {
        using var folder = new TestFolder();
        using var engine = InferenceEngine.Load(folder.Path, new EngineOptions { ProfileDirectory = null });
        Assert.That(() => engine.SaveTuning([new DrafterTuning("lookup", true)]), Throws.InvalidOperationException);
        Assert.That(() => engine.SaveTuning([new DrafterTuning("magic", true)]), Throws.ArgumentException.With.Message.Contains("lookup"));
    }

    private static string CurveOf(string file)
    {
        var text = File.ReadAllText(file);
        return text[text.IndexOf("\"seconds\"", StringComparison.Ordinal)..text.IndexOf("\"acceptance\"", StringComparison.Ordinal)];
    }

    private string Written()
    {
        var profile = MachineProfile.Open(_folder, Key);
        profile.KeepCost(new CostCurve([1, 2], [32], [0.25, 0.5]), maxNodes: 2, maxContext: 64);
        profile.Tune("draft", new DrafterTuning("draft", true, 4, 1));
        return profile.Save();
    }
}
