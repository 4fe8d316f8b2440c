using NativeSpec.Engine.Building;
using NativeSpec.Loading;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine.Profiles;

/// <summary>What was measured about a model on this machine, kept in a file from one load to the next: the cost curve as rounds have refined it, how
/// often each drafter was right, and what tuning found.</summary>
/// <remarks>A convenience that is never in the way: a file that is damaged, of another version or of another machine counts as none, and
/// one that cannot be written is not written. Safe to call from any thread.</remarks>
internal sealed class MachineProfile
{
    private readonly string? _file;
    private readonly TimeProvider _clock;
    private readonly Lock _gate = new();    // what is known
    private readonly Lock _writing = new(); // the file
    private ProfileContent _content;
    private long _learnt;  // rounds of the curve that are in it
    private long _taken;   // snapshots
    private long _written; // the last one in the file

    private MachineProfile(string? file, ProfileContent content, TimeProvider clock) => (_file, _content, _clock) = (file, content, clock);

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

    /// <summary>Where it is kept; null where it is not.</summary>
    public string? File => _file;

    /// <summary>Reads the profile of a key; an empty one where there is none.</summary>
    public static MachineProfile Open(string? directory, string key, TimeProvider? clock = null)
    {
        var file = directory is null ? null : Path.Combine(Path.GetFullPath(directory), ProfileKey.FileName(key));
        var content = file is null ? null : ProfileJson.TryRead(file, key);
        return new MachineProfile(file, content ?? ProfileContent.Empty(key), clock ?? TimeProvider.System);
    }

    /// <summary>How long a curve that was disturbed is used before it is measured again: a machine may be busy for a while.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    /// <summary>The curve that is kept; null where none is that was asked to go as far, and where a part of it was disturbed when it was measured, no
    /// round has said better since, and that is a while ago: then it is to be measured again.</summary>
    public CostCurve? KnownCost(int maxNodes, int maxContext)
    {
        lock (_gate)
        {
            return _content.Cost is { } cost && cost.MaxNodes >= maxNodes && cost.MaxContext >= maxContext
                && (cost.Spread.All(spread => spread < CostCurve.Disturbed / 2) || _clock.GetUtcNow() - cost.Measured < Patience)
                ? new CostCurve(cost.Nodes, cost.Contexts, cost.Seconds, cost.Spread)
                : null;
        }
    }

    /// <summary>Keeps a curve that was just measured.</summary>
    /// <param name="measured">The curve.</param>
    /// <param name="maxNodes">How many nodes it was asked for; it may end before, where forwards are slow.</param>
    /// <param name="maxContext">How long a context it was asked for; it may end before, where there is no room.</param>
    public void KeepCost(CostCurve measured, int maxNodes, int maxContext)
    {
        lock (_gate)
        {
            _content = _content with { Cost = Of(measured, maxNodes, maxContext, _clock.GetUtcNow(), measured.Rounds) };
        }
    }

    /// <summary>What tuning noted about a drafter.</summary>
    public DrafterTuning? Tuned(string identity)
    {
        lock (_gate)
        {
            return _content.Tuning.GetValueOrDefault(identity);
        }
    }

    /// <summary>Whether a verdict that still holds keeps a drafter out of <c>Auto</c>.</summary>
    public bool Excludes(string identity) => Tuned(identity)?.Excludes(_clock.GetUtcNow()) == true;

    /// <summary>How a draft model drafts best, where tuning has found it out.</summary>
    public DraftModelOptions? TunedDraft(string identity)
        => Tuned(identity) is { Depth: { } depth, Width: { } width } ? new DraftModelOptions { Depth = depth, Width = width } : null;

    /// <summary>Notes what tuning found.</summary>
    public void Tune(string identity, DrafterTuning tuning)
    {
        lock (_gate)
        {
            _content.Tuning[identity] = tuning;
        }
    }

    /// <summary>Lets the estimates begin with what is known.</summary>
    public void Teach(SpeculationCore core, DrafterSet drafters)
    {
        foreach (var source in drafters.All)
        {
            var (number, identity) = (core.Number(source.Name), drafters.IdentityOf(source.Name));
            if (_content.Acceptance.TryGetValue(identity, out var cells))
            {
                var counts = new (double Right, double All)[AcceptanceEstimates.CountsPerDrafter];
                foreach (var cell in cells)
                {
                    counts[(int)cell[0]] = (cell[1], cell[2]);
                }

                core.Estimates.Import(number, counts);
            }

            if (_content.Mixer.TryGetValue(identity, out var weights))
            {
                core.Mixer.Import(number, weights);
            }
        }
    }

    /// <summary>Takes over what rounds have taught: the curve and the estimates. To be called where no round is being computed.</summary>
    public void Learn(SpeculationCore core, DrafterSet drafters)
    {
        lock (_gate)
        {
            if (_content.Cost is { } cost)
            {
                _content = _content with { Cost = Of(core.Cost, cost.MaxNodes, cost.MaxContext, cost.Measured, cost.Rounds + core.Cost.Rounds - _learnt) };
                _learnt = core.Cost.Rounds;
            }

            foreach (var source in drafters.All)
            {
                var (number, identity) = (core.Number(source.Name), drafters.IdentityOf(source.Name));
                _content.Acceptance[identity] = [.. core.Estimates.Export(number).Select((count, cell) => new[] { cell, count.Right, count.All }).Where(cell => cell[2] > 0)];
                _content.Mixer[identity] = core.Mixer.Export(number);
            }
        }
    }

    /// <summary>The file's bytes as of now, for <see cref="TrySave"/> on another thread.</summary>
    public (long Number, byte[] Bytes) Snapshot()
    {
        lock (_gate)
        {
            return (++_taken, ProfileJson.Render(_content with { Saved = _clock.GetUtcNow() }));
        }
    }

    /// <summary>Writes the file, if one is kept and can be written.</summary>
    /// <param name="snapshot">What to write.</param>
    public void TrySave((long Number, byte[] Bytes) snapshot)
    {
        try
        {
            if (_file is not null)
            {
                Write(snapshot);
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

        Write(Snapshot());
        return _file;
    }

    private void Write((long Number, byte[] Bytes) snapshot)
    {
        lock (_writing)
        {
            if (snapshot.Number > _written)
            {
                AtomicFile.Write(_file!, stream => stream.Write(snapshot.Bytes));
                _written = snapshot.Number;
            }
        }
    }

    private static ProfileCost Of(CostCurve curve, int maxNodes, int maxContext, DateTimeOffset measured, long rounds) => new(
        maxNodes, maxContext, curve.Nodes.ToArray(), curve.Contexts.ToArray(), curve.Seconds.ToArray(),
        [.. Enumerable.Range(0, curve.Seconds.Length).Select(curve.SpreadOf)], measured, rounds);

    private static string? Folder(params string[] cache) => cache[0].Length == 0 ? null : Path.Combine([.. cache, "nativespec"]);
}
