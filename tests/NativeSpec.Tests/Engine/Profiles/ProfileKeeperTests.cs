using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Engine.Building;
using NativeSpec.Engine.Profiles;
using NativeSpec.Loading.Llama;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Tests.Speculation.Planning;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Engine.Profiles;

public sealed class ProfileKeeperTests
{
    private const string Key = "a machine and a model";

    /// <summary>A drafter whose name cannot be asked any more.</summary>
    [Test]
    public void Finish_WhatCannotBeLearnt_IsNotWrittenAndNotThrown()
    {
        using var folder = new TestFolder();
        var directory = Directory.CreateTempSubdirectory("nativespec-profile-").FullName;
        try
        {
            using var checkpoint = LlamaCheckpoint.Open(folder.Path);
            using var backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
            var profile = MachineProfile.Open(directory, Key);
            var drafter = new Nameless();
            using var drafters = new DrafterSet(checkpoint, Tokenizer.Load(folder.Path), backend, new EngineOptions { Drafters = [drafter] }, profile, new MemoryPlan(64, 64), 1 << 20);
            var clock = new SimulatedClock();
            var core = new SpeculationCore(drafters.All, new CostCurve([1, 2], [1, 1.2]), 16, 8, clock);
            var keeper = new ProfileKeeper(profile, core, drafters);
            clock.Pass(61);
            core.ObserveRound(1, 0, 2, 2, 1);
            drafter.IsGone = true;

            Assert.That(keeper.AfterRound, Throws.Nothing);
            Assert.That(keeper.Finish, Throws.Nothing);
            Assert.That(Directory.GetFiles(directory), Is.Empty);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>Rounds for a minute, and one more: the file then has what they taught, though the engine still runs.</summary>
    [Test]
    public void AfterRound_OnceAMinute_WritesWhatRoundsHaveTaught()
    {
        using var folder = new TestFolder();
        var directory = Directory.CreateTempSubdirectory("nativespec-profile-").FullName;
        try
        {
            using var checkpoint = LlamaCheckpoint.Open(folder.Path);
            using var backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
            var profile = MachineProfile.Open(directory, Key);
            var options = new EngineOptions { Drafters = [] };
            using var drafters = new DrafterSet(checkpoint, Tokenizer.Load(folder.Path), backend, options, profile, new MemoryPlan(64, 64), 1 << 20);
            var clock = new SimulatedClock();
            var core = new SpeculationCore(drafters.All, new CostCurve([1, 2], [1, 1.2]), 16, 8, clock);
            profile.KeepCost(core.Cost, 2, 0);
            profile.Save();
            var keeper = new ProfileKeeper(profile, core, drafters);
            core.RoundObserved = keeper.AfterRound;

            for (var round = 0; round < 59; round++)
            {
                clock.Pass(1);
                core.ObserveRound(1, 0, 2, 2, 1);
            }

            Assert.That(Rounds(), Is.Zero, "not yet");
            clock.Pass(1);
            core.ObserveRound(1, 0, 2, 2, 1);
            Assert.That(Rounds, Is.EqualTo(60).After(10_000, 5), "on another thread");
            Assert.That(MachineProfile.Open(directory, Key).KnownCost(2, 0)!.At(1, 0), Is.EqualTo(2).Within(5).Percent);

            core.ObserveRound(1, 0, 2, 2, 1);
            keeper.Finish();
            Assert.That(Rounds(), Is.EqualTo(61), "and the rest at the end");
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }

        long Rounds() => ProfileJson.Read(Directory.GetFiles(directory, "*.json").Single()).Cost!.Rounds;
    }

    private sealed class Nameless : IDrafterSource
    {
        public bool IsGone { get; set; }

        public string Name => IsGone ? throw new ObjectDisposedException("mine") : "nameless";

        public IDrafter Start(ReadOnlyMemory<int> prompt) => throw new NotSupportedException();

        public void Dispose()
        {
        }
    }
}
