using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;

namespace NativeSpec.Tests.Backends;

/// <summary>A backend that the conformance suite runs on: every one this machine has, at every instruction-set level, with one thread
/// and with several.</summary>
public sealed record TestBackend(string Name, Func<IBackend> Create)
{
    /// <summary>All of them, for <c>[TestFixtureSource]</c>.</summary>
    public static IEnumerable<TestBackend> All
    {
        get
        {
            foreach (var level in SimdLevels.Available)
            {
                foreach (var threads in new[] { 1, 3 })
                {
                    yield return new TestBackend($"cpu {level} {threads}", () => CpuBackend.Create(new CpuOptions { Level = level, Threads = threads }));
                }
            }
        }
    }

    public override string ToString() => Name;
}
