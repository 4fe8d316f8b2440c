using NativeSpec.Backends.Cuda.Driver;

namespace NativeSpec.Backends.Cuda;

/// <summary>What measures it: times by the device's own events.</summary>
internal sealed unsafe partial class CudaProgram
{
    /// <summary>Times the kernels of the last run, each launched some times alone. What the run computed is gone afterwards; whoever measures has
    /// committed nothing.</summary>
    /// <param name="repeats">Launches of each that are timed together, after one that is not.</param>
    public IReadOnlyList<KernelTime> Measure(int repeats)
    {
        var launches = _last ?? throw new InvalidOperationException("nothing has been computed yet");
        using var turn = _backend.Context.Enter();
        Dictionary<string, KernelTime> times = [];
        foreach (ref readonly var launch in launches.All)
        {
            var before = times.GetValueOrDefault(launch.Kernel.Name, new KernelTime(launch.Kernel.Name, 0, 0, 0));
            times[launch.Kernel.Name] = before with
            {
                Launches = before.Launches + 1,
                Seconds = before.Seconds + turn.SecondsOf(launch with { IsDependent = false }, repeats),
                WeightBytes = before.WeightBytes + launch.WeightBytes,
            };
        }

        return [.. times.Values];
    }

    /// <summary>Times the kernels of the last run one behind the other, as a graph where there is one, without what is copied before and behind them. What the run computed is gone
    /// afterwards, as with <see cref="Measure"/>, which has a launch's own time in each kernel's.</summary>
    /// <param name="repeats">How often they are launched, after once that is not timed.</param>
    /// <returns>Seconds for all of them once.</returns>
    public double MeasureTogether(int repeats)
    {
        var launches = _last ?? throw new InvalidOperationException("nothing has been computed yet");
        using var turn = _backend.Context.Enter();
        using CudaResource begin = turn.CreateEvent(), end = turn.CreateEvent();
        Launch(turn, launches);
        turn.RecordEvent(begin);
        for (var i = 0; i < repeats; i++)
        {
            Launch(turn, launches);
        }

        turn.RecordEvent(end);
        turn.Synchronize("a forward's kernels are timed");
        return turn.SecondsBetween(begin, end) / repeats;
    }
}
