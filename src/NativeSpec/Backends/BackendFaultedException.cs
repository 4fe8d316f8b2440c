namespace NativeSpec.Backends;

/// <summary>What computes is lost: an error after which nothing that it says can be relied on. Every later use throws this again.</summary>
/// <param name="code">The driver's number of the error; 0 where it told none.</param>
/// <param name="kernel">The kernel that ran, where that is known.</param>
/// <param name="message">What happened, with both.</param>
/// <param name="cause">What was thrown, where something was.</param>
internal sealed class BackendFaultedException(int code, string? kernel, string message, Exception? cause = null) : BackendException(code, kernel, message, cause);
