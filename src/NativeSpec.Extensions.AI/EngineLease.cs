using NativeSpec.Engine;

namespace NativeSpec.Extensions.AI;

/// <summary>A request that an <see cref="EngineHost"/> counts. Until it is disposed a host that stops waits for it.</summary>
public sealed class EngineLease : IDisposable
{
    private EngineHost? _host;

    internal EngineLease(EngineHost host, InferenceEngine engine) => (_host, Engine) = (host, engine);

    /// <summary>The engine, which lives at least as long as the host waits.</summary>
    public InferenceEngine Engine { get; }

    /// <summary>Ends the request.</summary>
    public void Dispose() => Interlocked.Exchange(ref _host, null)?.Leave();
}
