using NativeSpec.Backends;

namespace NativeSpec.Engine;

/// <summary>The engine itself has failed, not the request; the inner exception says why. Where that was in a round, only the requests of the round
/// have failed, and the engine serves on. Where a device was lost, or the engine failed between two rounds, this is what all requests get from
/// then on (<see cref="EngineSnapshot.IsFaulted"/>): dispose the engine and load another, on a lost CUDA device in a new process.</summary>
public sealed class EngineFaultedException : EngineException
{
    internal EngineFaultedException(Exception cause)
        : base($"the engine has failed, not this request: {cause.Message}", cause)
        => (Code, Kernel) = cause is BackendException failed ? (failed.Code, failed.Kernel) : (0, null);

    /// <summary>The driver's number of the error; 0 where no driver told one: it was not a device that failed or refused something, or a kernel (<see cref="Kernel"/>) left what
    /// cannot be.</summary>
    public int Code { get; }

    /// <summary>The kernel that failed, where that is known.</summary>
    public string? Kernel { get; }
}
