using System.Text;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Engine.Profiles;
using NativeSpec.Loading;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Tests.Engine.Profiles;

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
        var verdict = new DrafterTuning("lookup", false) { SpeedUp = 0.8, Rounds = 321, Measured = new DateTimeOffset(2026, 5, 1, 12, 0, 0, TimeSpan.Zero) };
        written.Tune("lookup", verdict);
        written.Save();

        var read = MachineProfile.Open(Path.Combine(_folder, "new"), Key);

        Assert.That(read.KnownCost(6, 1000)!.Seconds.ToArray(), Is.EqualTo(new[] { 0.01, 0.0125, 0.02, 0.02, 0.025, 0.04 }));
        Assert.That(read.KnownCost(6, 1000)!.Contexts.ToArray(), Is.EqualTo(new[] { 32, 900 }));
        Assert.That(read.KnownCost(7, 1000), Is.Null, "it was not asked to go so far");
        Assert.That(read.KnownCost(6, 1001), Is.Null, "nor for so long a context");
        Assert.That(read.TunedDraft("draft /models/small"), Is.EqualTo(new DraftModelOptions { Depth = 4, Width = 2 }));
        Assert.That(read.Tuned("lookup"), Is.EqualTo(verdict));
        Assert.That(Directory.GetFiles(Path.Combine(_folder, "new")), Has.Length.EqualTo(1), "nothing unfinished is left behind");
    }

    [Test]
    public void TryRead_WhatWasRendered_KnowsTheEstimates()
    {
        var file = Path.Combine(_folder, "profile");
        var content = ProfileContent.Empty(Key);
        content.Acceptance["draft /models/small"] = [[0, 1, 2], [AcceptanceEstimates.CountsPerDrafter - 1, 3, 4.5]];
        content.Mixer["lookup"] = [1, 0.9, -0.25, 0, 1, 1e-3, 0.5];
        File.WriteAllBytes(file, ProfileJson.Render(content));

        var read = ProfileJson.TryRead(file, Key)!;

        Assert.That(read.Acceptance, Is.EqualTo(content.Acceptance));
        Assert.That(read.Mixer, Is.EqualTo(content.Mixer));
        Assert.That(read.Mixer["lookup"], Has.Length.EqualTo(LogisticMixer.WeightsPerDrafter));
    }

    [Test]
    public void KnownCost_WhereAPointWasDisturbed_IsToBeMeasuredAgainUntilRoundsHaveSaidBetter()
    {
        var (steady, disturbed) = (CostCurve.Steady, CostCurve.Disturbed);
        var clock = new FixedClock(new DateTimeOffset(2026, 6, 30, 0, 0, 0, TimeSpan.Zero));
        var profile = MachineProfile.Open(null, Key, clock);
        var curve = new CostCurve([1, 2], [32], [1, 3], [steady, disturbed]);
        profile.KeepCost(curve, 2, 64);
        Assert.That(profile.KnownCost(2, 64), Is.Not.Null, "the machine may still be busy");
        clock.Now += TimeSpan.FromMinutes(11);
        Assert.That(profile.KnownCost(2, 64), Is.Null);

        for (var i = 0; i < 10; i++)
        {
            curve.Observe(2, 32, 1.2);
        }

        profile.KeepCost(curve, 2, 64);
        clock.Now += TimeSpan.FromMinutes(11);
        Assert.That(profile.KnownCost(2, 64)!.At(2, 32), Is.EqualTo(1.2).Within(10).Percent);
    }

    [TestCase(500, 29, true)]
    [TestCase(500, 31, false, Description = "it has faded")]
    [TestCase(20, 2, true)]
    [TestCase(20, 4, false, Description = "little evidence fades sooner")]
    [TestCase(0, 0, false, Description = "no evidence, no verdict")]
    [TestCase(500, -1, false, Description = "from the future")]
    public void Excludes_AVerdict_HoldsByItsEvidenceAndAge(int rounds, int days, bool excludes)
    {
        var clock = new FixedClock(new DateTimeOffset(2026, 6, 30, 0, 0, 0, TimeSpan.Zero));
        var profile = MachineProfile.Open(null, Key, clock);
        profile.Tune("lookup", new DrafterTuning("lookup", false) { SpeedUp = 0.8, Rounds = rounds, Measured = clock.GetUtcNow().AddDays(-days) });
        Assert.That(profile.Excludes("lookup"), Is.EqualTo(excludes));
        Assert.That(profile.Excludes("draft"), Is.False);
    }

    /// <summary>A snapshot that is written late does not replace a newer one.</summary>
    [Test]
    public void TrySave_SnapshotsOutOfOrder_KeepsTheNewest()
    {
        var profile = MachineProfile.Open(_folder, Key);
        var old = profile.Snapshot();
        profile.Tune("lookup", new DrafterTuning("lookup", true));
        profile.TrySave(profile.Snapshot());
        profile.TrySave(old);
        Assert.That(MachineProfile.Open(_folder, Key).Tuned("lookup"), Is.Not.Null);
    }

    /// <summary>What the version before kept. It is measured anew.</summary>
    [Test]
    public void Open_AProfileOfTheVersionBefore_KnowsNothing()
    {
        var file = Written();
        File.WriteAllText(file, $$$$"""
            {"version":5,"key":"{{{{Key}}}}","cost":{"max_nodes":2,"max_context":64,"nodes":[1,2],"contexts":[32],"seconds":[0.25,0.5]},
             "acceptance":{"lookup":[[0,1,2],[83,3,4]]},"mixer":{"lookup":[1,1,0,0,1,1,0]},"tuning":{"draft":{"pays":true,"depth":4,"width":1}}}
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

    /// <summary>Four megabytes of lists in a list, which are refused by their number.</summary>
    [Test]
    public void Read_AFileOfListsWithoutEnd_RefusesItBeforeItReadsThem([Values("acceptance", "mixer", "seconds")] string where)
    {
        var file = Path.Combine(_folder, "profile");
        var lists = $"[{string.Concat(Enumerable.Repeat("[],", 1_390_000))}[]]";
        string Of(string name) => name == where ? lists : "[1]";
        File.WriteAllText(file, $$$"""
            {"version":{{{ProfileJson.Version}}},"key":"k","saved":"2026-05-01T12:00:00+00:00",
             "cost":{"max_nodes":1,"max_context":1,"nodes":[1],"contexts":[1],"seconds":{{{Of("seconds")}}},"spread":[0],"measured":"2026-05-01T12:00:00+00:00","rounds":0},
             "acceptance":{"lookup":{{{(where == "acceptance" ? lists : "[]")}}}},"mixer":{"lookup":{{{Of("mixer")}}}},"tuning":{}}
            """);

        Assert.That(() => ProfileJson.Read(file), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("a list of 1390001; expected at most"));
    }

    [Test]
    public void Open_ADamagedFile_KnowsNothingAndDoesNotThrow()
    {
        var file = Written();
        var whole = File.ReadAllBytes(file);
        var full = Encoding.UTF8.GetString(whole).ReplaceLineEndings("").Replace(" ", "")
            .Replace("amachineandamodel", Key).Replace("\"acceptance\":{}", "\"acceptance\":{\"lookup\":[[0,1,2]]}").Replace("\"mixer\":{}", "\"mixer\":{\"draft\":[1,1,0,0,1,1,0]}");
        File.WriteAllText(file, full);
        Assert.That(MachineProfile.Open(_folder, Key).KnownCost(1, 1), Is.Not.Null, "so what follows is refused for its damage");
        (string Old, string New)[] damages =
        [
            ("[1,2],\"contexts\"", "[2,1],\"contexts\""), ("[1,2],\"contexts\"", "[1],\"contexts\""), ("[1,2],\"contexts\"", "null,\"contexts\""), ("[32]", "[32,64]"), ("[32]", "[-1]"), ("[32]", "[]"),
            ("0.25", "-1"), ("0.25", "1e999"), ("0.25", "NaN"), ("0.25", "\"x\""), ("\"spread\":[0.05,", "\"spread\":["), ("\"spread\":[0.05,", "\"spread\":[7,"),
            ("\"pays\":true", "\"pays\":7"), ("\"depth\":4", "\"depth\":4000"), ("\"depth\":4,", ""), ("\"rounds\":321", "\"rounds\":-1"), ("\"speed_up\":1.5", "\"speed_up\":-1"),
            ("[[0,1,2]]", "[[99999,1,2]]"), ("[[0,1,2]]", "[[0,3,2]]"), ("[[0,1,2]]", "[[]]"), ("[[0,1,2]]", "[null]"), ("[[0,1,2]]", "null"), ("[[0,1,2]]", "[[84,1,2]]"), ("[[0,1,2]]", "[[0.5,1,2]]"),
            ("[1,1,0,0,1,1,0]", "[1,1,0,0,1,1]"), ("[1,1,0,0,1,1,0]", "[1,1,0,0,1,1,-1000]"), ("[1,1,0,0,1,1,0]", "7"), ("[1,1,0,0,1,1,0]", "null"),
            ("\"cost\":{", "\"cost\":{\"max_nodes\":2,"), ("\"version\":6", "\"version\":5"), ("\"version\":6", "\"version\":\"6\""), ("\"version\":6,", ""), ("\"key\"", "\"lock\""),
        ];
        string[] damaged = ["", "{", "[]", "nonsense", "{\"version\":3}", "{\"version\":6,\"key\":\"a machine and a model\"}", .. damages.Select(damage => full.Replace(damage.Old, damage.New))];
        Assert.That(damages.Select(damage => damage.Old), Is.All.Matches<string>(full.Contains), "each of them changes something");
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
        Assert.That(() => profile.TrySave(profile.Snapshot()), Throws.Nothing);
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
            engine.SaveTuning([new DrafterTuning("lookup", false) { SpeedUp = 0.8, Rounds = 300, Measured = DateTimeOffset.UtcNow }, new DrafterTuning("draft", true, 2, 1)]);
        }

        var file = Directory.GetFiles(_folder).Single();
        var kept = ProfileJson.Read(file);
        Assert.That(kept.Cost!.Rounds, Is.Positive, "the rounds have refined it");
        // Whatever else runs on this machine, the curve counts as one that could be repeated.
        File.WriteAllBytes(file, ProfileJson.Render(kept with { Cost = kept.Cost with { Spread = [.. kept.Cost.Spread.Select(_ => CostCurve.Steady)] } }));
        using (var engine = InferenceEngine.Load(model, options))
        {
            Assert.That(ProfileJson.Read(file).Cost!.Seconds, Is.EqualTo(kept.Cost.Seconds), "not measured again");
            var auto = await engine.CompleteAsync(new[] { 72, 101 }, new GenerationOptions { MaxTokens = 20, Temperature = 0, IgnoreEndOfText = true });
            Assert.That(auto.Speculation.Drafters.Select(d => d.Name), Has.None.EqualTo("lookup").And.Member("draft"));
            var named = await engine.CompleteAsync(new[] { 72, 101 }, new GenerationOptions { MaxTokens = 20, Temperature = 0, IgnoreEndOfText = true, Speculation = new() { Drafters = ["lookup", "draft"], Unplanned = true } });
            Assert.That(named.Speculation.Drafters.Select(d => d.Name), Is.EquivalentTo(new[] { "lookup", "draft" }), "who names a drafter gets it");
            Assert.That(named.Speculation.Drafters.Single(d => d.Name == "draft").AcceptedPerPosition, Has.Count.EqualTo(2), "the tuned depth");
        }

        Assert.That(ProfileJson.Read(file).Cost, Has.Property(nameof(ProfileCost.Measured)).EqualTo(kept.Cost.Measured).And.Property(nameof(ProfileCost.Rounds)).GreaterThan(kept.Cost.Rounds));
        Assert.That(ProfileJson.Read(file).Acceptance.Keys, Has.Member("draft " + model), "its acceptance is kept under where it is");
        using var anew = InferenceEngine.Load(model, options with { MeasureAnew = true });
        Assert.That(ProfileJson.Read(file).Cost!.Measured, Is.GreaterThan(kept.Cost.Measured));
    }

    [Test]
    public void SaveTuning_WithoutAProfileOrForAnUnknownDrafter_IsRefused()
    {
        using var folder = new TestFolder();
        using var engine = InferenceEngine.Load(folder.Path, new EngineOptions { ProfileDirectory = null });
        Assert.That(() => engine.SaveTuning([new DrafterTuning("lookup", true)]), Throws.InvalidOperationException);
        Assert.That(() => engine.SaveTuning([new DrafterTuning("magic", true)]), Throws.ArgumentException.With.Message.Contains("lookup"));
        Assert.That(() => engine.SaveTuning([new DrafterTuning("lookup", true) { SpeedUp = double.NaN }]), Throws.ArgumentException.With.Message.Contains("SpeedUp is NaN"));
    }

    private string Written()
    {
        var profile = MachineProfile.Open(_folder, Key);
        profile.KeepCost(new CostCurve([1, 2], [32], [0.25, 0.5]), maxNodes: 2, maxContext: 64);
        profile.Tune("draft", new DrafterTuning("draft", true, 4, 1) { SpeedUp = 1.5, Rounds = 321 });
        return profile.Save();
    }

    private sealed class FixedClock(DateTimeOffset now) : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = now;

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
