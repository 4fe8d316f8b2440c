namespace NativeSpec.Tests.Backends.Cuda.EngineFaults;

/// <summary>From when on the driver's calls fail.</summary>
internal enum FaultMoment
{
    Load,
    WarmUp,
    BeforeRequests,
    AmongRequests,
    Disposal,
    DisposalAmongRequests,
}

/// <summary>What an engine is asked, what goes wrong and when.</summary>
/// <param name="Moment">From when on calls fail.</param>
/// <param name="Fault">How: a setting of the emulated driver, as <c>FAULTS</c>, and</param>
/// <param name="Value">its value.</param>
/// <param name="Drafts">Whether draft models draft,</param>
/// <param name="Heads">and Medusa heads.</param>
/// <param name="Sequences">Requests that are served at once; more wait.</param>
/// <param name="Requests">Which of the requests are sent, all at once.</param>
/// <param name="CancelAfter">For each after how many pieces its caller goes; 0 for one who stays.</param>
internal sealed record FaultPlan(
    FaultMoment Moment, string Fault, string Value, bool Drafts, bool Heads, int Sequences, int[] Requests, int[] CancelAfter)
{
    private static readonly string[] CallsOfLoading =
    [
        "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuStreamCreate", "cuModuleLoadDataEx", "cuModuleGetFunction", "cuFuncSetAttribute", "cuMemGetInfo_v2", "cuMemAlloc_v2", "cuMemHostAlloc", "cuMemFreeHost",
        "cuMemsetD8Async", "cuMemcpyHtoDAsync_v2", "cuLaunchKernel", "cuStreamSynchronize", "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphDestroy", "cuGraphLaunch",
    ];

    private static readonly string[] CallsOfRounds =
    [
        "cuCtxSetCurrent", "cuStreamSynchronize", "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuMemcpyDtoDAsync_v2", "cuGraphLaunch", "cuLaunchKernel", "cuLaunchKernelEx", "cuStreamBeginCapture_v2",
        "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphDestroy",
    ];

    private static readonly string[] CallsOfDisposal =
        ["cuCtxSetCurrent", "cuStreamSynchronize", "cuMemFree_v2", "cuMemFreeHost", "cuGraphExecDestroy", "cuModuleUnload", "cuStreamDestroy_v2", "cuDevicePrimaryCtxRelease_v2"];

    /// <summary>Invalid value, no memory, launch out of resources, uncorrectable memory, illegal address, launch failed, unknown.</summary>
    private static readonly int[] Codes = [1, 2, 701, 214, 700, 719, 999];

    /// <summary>The plan of a seed. One in three has one call fail with some code, the others any call with some probability, 1/512 to 1/8.</summary>
    /// <param name="seed">The seed.</param>
    /// <param name="requests">How many requests there are to choose from.</param>
    public static FaultPlan Draw(int seed, int requests)
    {
        var random = new Random(seed);
        var moment = random.Next(16) switch
        {
            0 or 1 or 2 => FaultMoment.Load,
            3 => FaultMoment.WarmUp,
            4 or 5 or 6 or 7 => FaultMoment.BeforeRequests,
            8 or 9 or 10 or 11 or 12 => FaultMoment.AmongRequests,
            13 => FaultMoment.Disposal,
            _ => FaultMoment.DisposalAmongRequests,
        };
        var calls = moment switch
        {
            FaultMoment.Load => CallsOfLoading,
            FaultMoment.Disposal => CallsOfDisposal,
            FaultMoment.DisposalAmongRequests => [.. CallsOfRounds, .. CallsOfDisposal],
            _ => CallsOfRounds,
        };
        var (fault, value) = random.Next(3) == 0
            ? ("FAIL", $"{calls[random.Next(calls.Length)]},{1 + (int)Math.Pow(2, 4 * random.NextDouble())},{Codes[random.Next(Codes.Length)]}")
            : ("FAULTS", FormattableString.Invariant($"{seed},{Math.Pow(2, -3 - (6 * random.NextDouble())):0.00000}"));
        var count = moment is FaultMoment.Disposal or FaultMoment.WarmUp ? 1 : 1 + random.Next(5);
        return new FaultPlan(
            moment,
            fault,
            value,
            Drafts: random.Next(3) > 0,
            Heads: random.Next(2) > 0,
            Sequences: 2 + random.Next(3),
            [.. Enumerable.Range(0, count).Select(_ => random.Next(requests))],
            [.. Enumerable.Range(0, count).Select(_ => random.Next(4) == 0 ? 1 + random.Next(4) : 0)]);
    }

    public override string ToString() => $"{Moment}: {Fault}={Value}, draft models {Drafts}, heads {Heads}, {Sequences} at once, requests {string.Join(' ', Requests)}, cancelled after {string.Join(' ', CancelAfter)}";
}
