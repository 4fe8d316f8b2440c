using NativeSpec.Engine.Building;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine.Profiles;

/// <summary>Brings what rounds have taught into the profile, now and then while they run and once at the end.</summary>
/// <remarks>A profile is a convenience: what goes wrong with one costs no round and no request.</remarks>
/// <param name="profile">The profile.</param>
/// <param name="core">Where rounds are learnt from.</param>
/// <param name="drafters">The drafters that the profile knows.</param>
internal sealed class ProfileKeeper(MachineProfile profile, SpeculationCore core, DrafterSet drafters)
{
    /// <summary>The time between two writings.</summary>
    public static readonly TimeSpan Every = TimeSpan.FromMinutes(1);

    private long _last = core.Clock.GetTimestamp();

    /// <summary>To be called after a round, on the thread that computes rounds; writes on another one.</summary>
    public void AfterRound()
    {
        if (profile.File is null || core.Clock.GetElapsedTime(_last) < Every)
        {
            return;
        }

        _last = core.Clock.GetTimestamp();
        if (TryLearn() is { } snapshot)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static work => work.Profile.TrySave(work.Snapshot), (Profile: profile, Snapshot: snapshot), preferLocal: false);
        }
    }

    /// <summary>Writes at the end, when no more rounds are computed, if there have been any.</summary>
    public void Finish()
    {
        if (profile.File is not null && core.TokensPerSecond > 0 && TryLearn() is { } snapshot)
        {
            profile.TrySave(snapshot);
        }
    }

    private (long Number, byte[] Bytes)? TryLearn()
    {
        try
        {
            profile.Learn(core, drafters);
            return profile.Snapshot();
        }
#pragma warning disable CA1031 // Drafters may be anybody's, and a number that is none cannot be written.
        catch (Exception)
#pragma warning restore CA1031
        {
            return null;
        }
    }
}
