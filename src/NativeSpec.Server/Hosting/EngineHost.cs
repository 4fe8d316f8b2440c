#pragma warning disable CS1591, CA1031 // stands in until the hosted engine is there
using Microsoft.Extensions.Hosting;
using NativeSpec.Engine;

namespace NativeSpec.Extensions.AI;

public enum EngineHostState
{
    Loading,
    Ready,
    Draining,
    Failed,
}

public sealed class EngineUnavailableException(EngineHostState state) : InvalidOperationException
{
    public EngineHostState State => state;
}

public sealed class EngineLease(EngineHost host, InferenceEngine engine) : IDisposable
{
    private EngineHost? _host = host;

    public InferenceEngine Engine => engine;

    public void Dispose() => Interlocked.Exchange(ref _host, null)?.Leave();
}

public sealed class EngineHost(Func<CancellationToken, Task<InferenceEngine>> load, IHostApplicationLifetime lifetime) : IHostedService, IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource<InferenceEngine> _loaded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private int _running;

    public InferenceEngine? Engine { get; private set; }

    public EngineHostState State { get; private set; }

    public int Running => Volatile.Read(ref _running);

    public Task<InferenceEngine> LoadedAsync(CancellationToken cancellationToken) => _loaded.Task.WaitAsync(cancellationToken);

    public EngineLease Enter()
    {
        lock (_gate)
        {
            if (State != EngineHostState.Ready)
            {
                throw new EngineUnavailableException(State);
            }

            _running++;
            return new EngineLease(this, Engine!);
        }
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        lifetime.ApplicationStopping.Register(Drain);
        _ = Task.Run(
            async () =>
            {
                try
                {
                    Engine = await load(_stop.Token).ConfigureAwait(false);
                    State = EngineHostState.Ready;
                    _loaded.SetResult(Engine);
                }
                catch (Exception error)
                {
                    State = EngineHostState.Failed;
                    _loaded.SetException(error);
                }
            },
            CancellationToken.None);
        return Task.CompletedTask;
    }

    public void Drain()
    {
        lock (_gate)
        {
            State = EngineHostState.Draining;
        }
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        Dispose();
        return Task.CompletedTask;
    }

    public void Dispose()
    {
        Drain();
        Engine?.Dispose();
    }

    internal void Leave()
    {
        lock (_gate)
        {
            _running--;
        }
    }
}
