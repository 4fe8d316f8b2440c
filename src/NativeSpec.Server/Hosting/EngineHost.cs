#pragma warning disable CS1591, CA1031 // stands in until the hosted engine is there
using Microsoft.Extensions.Hosting;
using NativeSpec.Engine;

namespace NativeSpec.Server.Hosting;

/// <summary>How far an engine in a host is.</summary>
public enum EngineHostState
{
    /// <summary>The model is being loaded.</summary>
    Loading,

    /// <summary>Requests are served.</summary>
    Ready,

    /// <summary>The process is ending: running requests go on, new ones are refused.</summary>
    Draining,

    /// <summary>The model could not be loaded.</summary>
    Failed,
}

/// <summary>New requests are refused, because the host is ending.</summary>
public sealed class EngineDrainingException() : Exception("the engine takes no more requests: its host is ending");

/// <summary>An engine in a host: loads it in the background, counts its requests, and lets them end before it goes.</summary>
public sealed class EngineHost(Func<CancellationToken, Task<InferenceEngine>> load, TimeSpan drainTimeout) : IHostedLifecycleService, IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource<InferenceEngine> _loaded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _running = 1; // one more than the requests, until it drains
    private volatile bool _drains;

    public InferenceEngine? Engine => _loaded.Task.IsCompletedSuccessfully ? _loaded.Task.Result : null;

    public Exception? Failure => _loaded.Task.Exception?.InnerException;

    public EngineHostState State => _drains ? EngineHostState.Draining : _loaded.Task.IsCompletedSuccessfully ? EngineHostState.Ready : _loaded.Task.IsCompleted ? EngineHostState.Failed : EngineHostState.Loading;

    public Task<InferenceEngine> LoadedAsync(CancellationToken cancellationToken) => _loaded.Task.WaitAsync(cancellationToken);

    public IDisposable Enter()
    {
        Interlocked.Increment(ref _running);
        if (_drains)
        {
            Leave();
            throw new EngineDrainingException();
        }

        return new Ticket(this);
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _ = Task.Run(
            async () =>
            {
                try
                {
                    _loaded.SetResult(await load(_stop.Token).ConfigureAwait(false));
                }
                catch (Exception error)
                {
                    _loaded.SetException(error);
                }
            },
            CancellationToken.None);
        return Task.CompletedTask;
    }

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        if (_drains)
        {
            return;
        }

        _drains = true;
        await _stop.CancelAsync().ConfigureAwait(false);
        Leave();
        await Task.WhenAny(_idle.Task, Task.Delay(drainTimeout, cancellationToken)).ConfigureAwait(false);
    }

    public Task StopAsync(CancellationToken cancellationToken) => StoppingAsync(cancellationToken);

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose()
    {
        Engine?.Dispose();
        _stop.Dispose();
    }

    private void Leave()
    {
        if (Interlocked.Decrement(ref _running) == 0)
        {
            _idle.TrySetResult();
        }
    }

    private sealed class Ticket(EngineHost host) : IDisposable
    {
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0)
            {
                host.Leave();
            }
        }
    }
}
