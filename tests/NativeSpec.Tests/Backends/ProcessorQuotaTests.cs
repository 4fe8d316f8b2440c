using NativeSpec.Backends.Cpu;

namespace NativeSpec.Tests.Backends;

/// <summary>Limits of control groups, read from files that a test hands out.</summary>
public sealed class ProcessorQuotaTests
{
    private const string Second = "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    private const string First = "32 29 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:9 - cgroup cgroup rw,cpu,cpuacct\n33 29 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    [Test]
    public void SecondVersion_TheLeastLimitAroundTheProcessCounts() => Assert.That(
        Read(
            ("/proc/self/mountinfo", Second),
            ("/proc/self/cgroup", "0::/pod/one\n"),
            ("/sys/fs/cgroup/pod/one/cpu.max", "400000 100000\n"),
            ("/sys/fs/cgroup/pod/cpu.max", "150000 100000\n"),
            ("/sys/fs/cgroup/other/cpu.max", "10000 100000\n")),
        Is.EqualTo(1.5));

    [Test]
    public void SecondVersion_AContainerSeesItsGroupAtTheTop() => Assert.That(
        Read(("/proc/self/mountinfo", Second), ("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/cpu.max", "300000 100000\n")), Is.EqualTo(3));

    [Test]
    public void FirstVersion_TheGroupBelowTheMountedOneCounts() => Assert.That(
        Read(
            ("/proc/self/mountinfo", First),
            ("/proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc/inner\n0::/ignored\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_quota_us", "250000\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_period_us", "50000\n"),
            ("/sys/fs/cgroup/memory/cpu.cfs_quota_us", "1000\n")),
        Is.EqualTo(5));

    [TestCase("max 100000")]
    [TestCase("")]
    [TestCase("100000")]
    [TestCase("1 2 3")]
    [TestCase("100000 0")]
    [TestCase("-5 100000")]
    public void WhereThereIsNoLimit_ThereIsNone(string max) => Assert.That(
        Read(("/proc/self/mountinfo", Second + "short line - x\n"), ("/proc/self/cgroup", "0::/\nnonsense\n"), ("/sys/fs/cgroup/cpu.max", max)), Is.Null);

    [Test]
    public void WithoutFiles_ThereIsNoLimit() => Assert.That(Read(), Is.Null);

    [TestCase(1, null, 1)]
    [TestCase(2, null, 2)]
    [TestCase(7, null, 7)]
    [TestCase(8, null, 7, Description = "one is left to those who read")]
    [TestCase(64, 1.5, 1, Description = "two threads would be put aside for a third of the time")]
    [TestCase(64, 0.5, 1)]
    [TestCase(64, 12.0, 11)]
    [TestCase(4, 100.0, 4)]
    [TestCase(1000, null, 256)]
    public void DefaultThreads_FollowsWhatTheProcessMayUse(int processors, double? quota, int expected)
        => Assert.That(ProcessorQuota.DefaultThreads(processors, quota), Is.EqualTo(expected));

    private static double? Read(params (string Path, string Text)[] files) => ProcessorQuota.Read(files.ToDictionary(file => file.Path, file => file.Text).GetValueOrDefault);
}
