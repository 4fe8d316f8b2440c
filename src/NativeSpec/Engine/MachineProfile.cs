using NativeSpec.Loading;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine;

/// <summary>What was measured about a model on this machine, kept in a file from one load to the next: the cost curve, how often each
/// drafter was right, and what tuning found.</summary>
/// <remarks>A convenience that is never in the way: a file that is damaged, of another version or of another machine counts as none, and
/// one that cannot be written is not written.</remarks>
internal sealed class MachineProfile
{
    private readonly string? _file;
    private ProfileContent _content;

    private MachineProfile(string? file, ProfileContent content) => (_file, _content) = (file, content);

    /// <summary>See <see cref="EngineOptions.UserProfileDirectory"/>.</summary>
    public static string? DefaultDirectory
    {
        get
        {
            if (Environment.GetEnvironmentVariable("NATIVESPEC_PROFILE_DIR") is { } chosen)
            {
                return chosen.Length == 0 ? null : chosen;
            }

            if (OperatingSystem.IsWindows())
            {
                return Folder(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData));
            }

            // The XDG base directory specification: a path that is not absolute is to be ignored.
            var cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
            return Path.IsPathFullyQualified(cache ?? "") ? Folder(cache!) : Folder(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        }
    }

    /// <summary>The curve as it was measured; null where none is kept that was asked to go as far.</summary>
    public CostCurve? KnownCost(int maxNodes, int maxContext)
        => _content.Nodes.Length == 0 || _content.MaxNodes < maxNodes || _content.MaxContext < maxContext ? null
            : new CostCurve(_content.Nodes, _content.Contexts, _content.Seconds);

    /// <summary>Reads the profile of a key; an empty one where there is none.</summary>
    public static MachineProfile Open(string? directory, string key)
    {
        var file = directory is null ? null : Path.Combine(Path.GetFullPath(directory), ProfileKey.FileName(key));
        return new MachineProfile(file, (file is null ? null : ProfileJson.TryRead(file, key)) ?? new ProfileContent(key));
    }

    /// <summary>Keeps a curve, as it is now.</summary>
    /// <param name="measured">The curve.</param>
    /// <param name="maxNodes">How many nodes it was asked for; it may end before, where forwards are slow.</param>
    /// <param name="maxContext">How long a context it was asked for; it may end before, where there is no room.</param>
    public void KeepCost(CostCurve measured, int maxNodes, int maxContext) => _content = _content with
    {
        MaxNodes = maxNodes,
        MaxContext = maxContext,
        Nodes = measured.Nodes.ToArray(),
        Contexts = measured.Contexts.ToArray(),
        Seconds = measured.Seconds.ToArray(),
    };

    /// <summary>What tuning noted about a drafter.</summary>
    public DrafterTuning? Tuned(string identity) => _content.Tuning.GetValueOrDefault(identity);

    /// <summary>How a draft model drafts best, where tuning has found it out.</summary>
    public DraftModelOptions? TunedDraft(string identity)
        => Tuned(identity) is { Depth: { } depth, Width: { } width } ? new DraftModelOptions { Depth = depth, Width = width } : null;

    /// <summary>Notes what tuning found.</summary>
    public void Tune(string identity, DrafterTuning tuning) => _content.Tuning[identity] = tuning;

    /// <summary>Lets the estimates begin with what is known.</summary>
    public void Teach(SpeculationCore core, DrafterSet drafters)
    {
        foreach (var source in drafters.All)
        {
            var (number, identity) = (core.Number(source.Name), drafters.IdentityOf(source.Name));
            if (_content.Acceptance.TryGetValue(identity, out var counts))
            {
                core.Estimates.Import(number, counts);
            }

            if (_content.Mixer.TryGetValue(identity, out var weights))
            {
                core.Mixer.Import(number, weights);
            }
        }
    }

    /// <summary>Takes over what the estimates have learnt.</summary>
    public void Learn(SpeculationCore core, DrafterSet drafters)
    {
        foreach (var source in drafters.All)
        {
            var (number, identity) = (core.Number(source.Name), drafters.IdentityOf(source.Name));
            _content.Acceptance[identity] = core.Estimates.Export(number);
            _content.Mixer[identity] = core.Mixer.Export(number);
        }
    }

    /// <summary>Writes the file, if one is kept and can be written.</summary>
    public void TrySave()
    {
        try
        {
            if (_file is not null)
            {
                Save();
            }
        }
        catch (Exception e) when (RegularFile.IsFileError(e))
        {
            // The next load measures again.
        }
    }

    /// <summary>Writes the file; who reads meanwhile sees the old one or the new one, whole.</summary>
    /// <exception cref="InvalidOperationException">No profile is kept.</exception>
    /// <exception cref="IOException">It cannot be written.</exception>
    public string Save()
    {
        if (_file is null)
        {
            throw new InvalidOperationException($"this engine keeps no profile: {nameof(EngineOptions)}.{nameof(EngineOptions.ProfileDirectory)} is null");
        }

        AtomicFile.Write(_file, stream => stream.Write(ProfileJson.Render(_content)));
        return _file;
    }

    private static string? Folder(params string[] cache) => cache[0].Length == 0 ? null : Path.Combine([.. cache, "nativespec"]);
}

/// <summary>What a profile's file says.</summary>
/// <param name="Key">The machine and model.</param>
internal sealed record ProfileContent(string Key)
{
    /// <summary>How far the curve was asked to go.</summary>
    public int MaxNodes { get; init; }

    /// <summary>The longest context that the curve was asked for.</summary>
    public int MaxContext { get; init; }

    /// <summary>Numbers of nodes that were timed; empty where nothing was.</summary>
    public int[] Nodes { get; init; } = [];

    /// <summary>Lengths of context that were timed.</summary>
    public int[] Contexts { get; init; } = [];

    /// <summary>[contexts, nodes] the times.</summary>
    public double[] Seconds { get; init; } = [];

    /// <summary>By drafter, <see cref="AcceptanceEstimates.Export"/>.</summary>
    public Dictionary<string, (double Right, double All)[]> Acceptance { get; } = [];

    /// <summary>By drafter, <see cref="LogisticMixer.Export"/>.</summary>
    public Dictionary<string, double[]> Mixer { get; } = [];

    /// <summary>By drafter, what tuning found.</summary>
    public Dictionary<string, DrafterTuning> Tuning { get; } = [];
}
