using System.Globalization;

namespace NativeSpec.Backends.Cpu;

/// <summary>How much processor time the control groups of Linux leave the process, and how many threads compute by default.</summary>
/// <remarks>The runtime's own count of processors rounds a limit of 1.5 up to 2. Threads that wait for each other's work cannot have that: whoever uses up the
/// limit is put aside for the rest of the period, tens of milliseconds, and all others wait. So a limit is rounded down here.</remarks>
internal static class ProcessorQuota
{
    /// <summary>Processors from which one is left to the host and to those who read.</summary>
    /// <remarks>One thread fewer costs its share of the arithmetic: half on two processors, an eighth here, and nothing where memory bounds.</remarks>
    private const int Plenty = 8;

    /// <summary>Threads that compute where nobody says how many.</summary>
    /// <param name="processors">Processors that the process may run on.</param>
    /// <param name="quota">Their time that it may use, in processors; null without a limit.</param>
    public static int DefaultThreads(int processors, double? quota)
    {
        var whole = (int)Math.Min(processors, quota is { } limit ? Math.Floor(limit) : processors);
        return Math.Clamp(whole >= Plenty ? whole - 1 : whole, 1, 256);
    }

    /// <summary>The limit of this process; null where there is none.</summary>
    public static double? Read() => OperatingSystem.IsLinux() ? Read(ReadFile) : null;

    /// <summary>The smallest limit of the process's control group and of those around it, versions 1 and 2; null where there is none.</summary>
    /// <param name="read">The text of a file; null where there is no such file.</param>
    public static double? Read(Func<string, string?> read)
    {
        double? least = null;
        foreach (var mount in Lines(read("/proc/self/mountinfo")))
        {
            // "36 35 98:0 ROOT POINT options… - TYPE source SUPER-OPTIONS"
            var parts = mount.Split(" - ", 2);
            string[] before = parts[0].Split(' '), after = parts[^1].Split(' ');
            if (parts.Length < 2 || before.Length < 5 || after.Length < 3)
            {
                continue;
            }

            var isSecond = after[0] == "cgroup2";
            if ((isSecond || (after[0] == "cgroup" && after[2].Split(',').Contains("cpu"))) && PathOf(read("/proc/self/cgroup"), isSecond) is { } path)
            {
                least = Least(least, LimitFrom(before[4], Below(path, before[3]), isSecond ? SecondVersion : FirstVersion));
            }
        }

        return least;

        double? SecondVersion(string folder)
            => read($"{folder}/cpu.max")?.Split(' ') is [var quota, var period] ? Quotient(quota, period) : null;

        double? FirstVersion(string folder)
            => read($"{folder}/cpu.cfs_quota_us") is { } quota && read($"{folder}/cpu.cfs_period_us") is { } period ? Quotient(quota, period) : null;
    }

    /// <summary>The process's group: of a hierarchy with the controller cpu, or of version 2's only one.</summary>
    private static string? PathOf(string? groups, bool isSecond)
    {
        foreach (var line in Lines(groups))
        {
            if (line.Split(':', 3) is [_, var controllers, var path] && (isSecond ? controllers.Length == 0 : controllers.Split(',').Contains("cpu")))
            {
                return path;
            }
        }

        return null;
    }

    /// <summary>A group's path below what is mounted: a container sees its own group as the top.</summary>
    private static string Below(string path, string root)
        => (root == "/" ? path : path == root || path.StartsWith(root + "/", StringComparison.Ordinal) ? path[root.Length..] : "").TrimEnd('/');

    /// <summary>The least limit on the way from a group to the top.</summary>
    private static double? LimitFrom(string top, string path, Func<string, double?> limitOf)
    {
        var least = limitOf(top);
        for (; path.Length > 0; path = path[..Math.Max(path.LastIndexOf('/'), 0)])
        {
            least = Least(least, limitOf(top + path));
        }

        return least;
    }

    private static double? Least(double? one, double? other) => one is null || other < one ? other : one;

    /// <summary>Microseconds of a period; none where there is no limit, which is <c>max</c> or −1.</summary>
    private static double? Quotient(string quota, string period)
        => long.TryParse(quota, NumberStyles.AllowLeadingSign | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out var used) && used > 0
            && long.TryParse(period, NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out var whole) && whole > 0 ? (double)used / whole : null;

    private static string[] Lines(string? text) => text?.Split('\n', StringSplitOptions.RemoveEmptyEntries) ?? [];

    private static string? ReadFile(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null; // a file that cannot be read sets no limit that could be kept
        }
    }
}
