namespace NativeSpec.Backends;

/// <summary>A device, or what drives it, has failed or refused something.</summary>
/// <param name="code">The driver's number of the error; 0 where it told none.</param>
/// <param name="kernel">The kernel that ran, where that is known.</param>
/// <param name="message">What happened, with both.</param>
/// <param name="cause">What was thrown, where something was.</param>
internal abstract class BackendException(int code, string? kernel, string message, Exception? cause = null) : InvalidOperationException(message, cause)
{
    /// <summary>The driver's number of the error; 0 where it told none.</summary>
    public int Code { get; } = code;

    /// <summary>The kernel that ran, where that is known.</summary>
    public string? Kernel { get; } = kernel;
}
