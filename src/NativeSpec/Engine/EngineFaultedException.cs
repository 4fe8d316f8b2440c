namespace NativeSpec.Engine;

/// <summary>The device that the engine computes on is lost: a kernel failed, or the device did. Every request that was under way or waited ends with this, new
/// ones are refused with it, and no token is written from a round that did not end without error. Start the process anew, or load another engine.</summary>
public sealed class EngineFaultedException : EngineException
{
    internal EngineFaultedException(int code, string? kernel, string message)
        : base(message)
        => (Code, Kernel) = (code, kernel);

    /// <summary>The driver's number of the error.</summary>
    public int Code { get; }

    /// <summary>The kernel that failed, where that is known.</summary>
    public string? Kernel { get; }
}
