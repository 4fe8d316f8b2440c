using System.Reflection;
using System.Runtime.InteropServices;
using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Engine.Profiles;

namespace NativeSpec.Cli.Benchmarks.Kernels;

/// <summary>Where figures come from: without it they say nothing.</summary>
/// <param name="Processor">As its maker calls it.</param>
/// <param name="Threads">Threads that compute.</param>
/// <param name="Device">The devices that compute in a memory of their own, or none.</param>
/// <param name="Driver">The CUDA version that its driver is for, or none.</param>
/// <param name="Runtime">.NET's version.</param>
/// <param name="System">The operating system.</param>
/// <param name="Commit">What the command was built from; where that is not known, where the checkout around it stands.</param>
internal sealed record LabEnvironment(string Processor, int Threads, string Device, string Driver, string Runtime, string System, string Commit)
{
    /// <summary>This machine.</summary>
    /// <param name="threads">Threads, as asked for.</param>
    public static LabEnvironment Of(int? threads)
        => new(
            ProfileKey.Processor(), new CpuOptions { Threads = threads }.ResolveThreads(), "none", "none", RuntimeInformation.FrameworkDescription, RuntimeInformation.OSDescription, BuiltFrom() ?? CheckoutAround(AppContext.BaseDirectory) ?? "unknown");

    /// <summary>The same with the devices of back ends.</summary>
    public LabEnvironment With(IEnumerable<IBackend> devices)
    {
        var names = devices.Select(backend => backend is CudaBackend { Device: var cuda } ? $"{cuda.Name}, sm_{cuda.Capability}" : backend.Description).ToArray();
        var isCuda = devices.Any(backend => backend is CudaBackend || backend.Description.StartsWith("ilgpu: cuda", StringComparison.Ordinal));
        return names.Length == 0 ? this : this with { Device = string.Join("; ", names), Driver = isCuda ? CudaLibrary.Version : "unknown" };
    }

    /// <summary>Name and value of each, for JSON, CSV and people.</summary>
    public IEnumerable<(string Name, string Value)> Fields =>
    [
        ("processor", Processor), ("threads", FormattableString.Invariant($"{Threads}")), ("device", Device), ("driver", Driver), ("runtime", Runtime), ("system", System), ("commit", Commit),
    ];

    private static string? BuiltFrom()
        => typeof(LabEnvironment).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+') is [_, var commit] ? commit : null;

    // Lines of a commit, a space and a reference.
    private static string? Packed(string file, string branch)
        => File.Exists(file) ? File.ReadLines(file).Select(line => line.Split(' ')).FirstOrDefault(parts => parts is [_, var name] && name == branch)?[0] : null;

    private static string? CheckoutAround(string folder)
    {
        try
        {
            for (var at = new DirectoryInfo(folder); at is not null; at = at.Parent)
            {
                var git = Path.Combine(at.FullName, ".git");
                if (File.Exists(git) && File.ReadAllText(git).Trim() is ['g', 'i', 't', 'd', 'i', 'r', ':', .. var elsewhere])
                {
                    git = Path.GetFullPath(elsewhere.Trim(), at.FullName); // a worktree
                }

                if (!File.Exists(Path.Combine(git, "HEAD")))
                {
                    continue;
                }

                var head = File.ReadAllText(Path.Combine(git, "HEAD")).Trim();
                if (!head.StartsWith("ref: ", StringComparison.Ordinal))
                {
                    return head;
                }

                var common = File.Exists(Path.Combine(git, "commondir")) ? Path.GetFullPath(File.ReadAllText(Path.Combine(git, "commondir")).Trim(), git) : git;
                var branch = head["ref: ".Length..];
                return File.Exists(Path.Combine(common, branch)) ? File.ReadAllText(Path.Combine(common, branch)).Trim() : Packed(Path.Combine(common, "packed-refs"), branch);
            }

            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
