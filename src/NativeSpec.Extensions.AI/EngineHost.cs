using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine;

namespace NativeSpec.Extensions.AI;

/// <summary>An engine in a host. It is loaded in the background, so that the host answers meanwhile and says that it is loading; when the host stops it
/// takes no more requests, and waits for those that run as long as the host allows (<c>HostOptions.ShutdownTimeout</c>). Safe to use from any thread.</summary>
public sealed partial class EngineHost : IHostedService, IDisposable
{
    private readonly NativeSpecOptions _options;
    private readonly ILogger<EngineHost> _logger;
    private readonly IHostApplicationLifetime? _lifetime;
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource<InferenceEngine> _loaded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task? _load;
    private CancellationTokenRegistration _onStopping;
    private int _running;
    private bool _disposed;

    /// <summary>Makes a host for an engine; nothing is loaded yet.</summary>
    /// <param name="options">The engine.</param>
    /// <param name="logger">Where it says what it loaded, and why it could not.</param>
    /// <param name="lifetime">Says when the host begins to stop, before its servers do.</param>
    public EngineHost(NativeSpecOptions options, ILogger<EngineHost> logger, IHostApplicationLifetime? lifetime = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(logger);
        (_options, _logger, _lifetime) = (options, logger, lifetime);
        ModelId = options.EffectiveModelId;
    }

    /// <summary>What clients call the model.</summary>
    public string ModelId { get; }

    /// <summary>The engine's options.</summary>
    public NativeSpecOptions Options => _options;

    /// <summary>Where the engine is between start and stop.</summary>
    public EngineHostState State { get; private set; }

    /// <summary>The engine, once it is loaded.</summary>
    public InferenceEngine? Engine { get; private set; }

    /// <summary>Why it could not be loaded.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>How far the load is.</summary>
    public LoadProgress Progress { get; private set; }

    /// <summary>Requests that run.</summary>
    public int Running => Volatile.Read(ref _running);

    /// <summary>Begins to load, and returns at once.</summary>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (_lifetime is not null)
        {
            _onStopping = _lifetime.ApplicationStopping.Register(Drain);
        }

        Begin();
        return Task.CompletedTask;
    }

    /// <summary>Waits for the engine. Where no host has started it, it is loaded now.</summary>
    /// <param name="cancellationToken">Ends the waiting, not the load.</param>
    /// <exception cref="EngineUnavailableException">It could not be loaded, or the host stops.</exception>
    public Task<InferenceEngine> LoadedAsync(CancellationToken cancellationToken = default)
    {
        Begin();
        return _loaded.Task.WaitAsync(cancellationToken);
    }

    /// <summary>Begins a request.</summary>
    /// <returns>Ends it when it is disposed.</returns>
    /// <exception cref="EngineUnavailableException">The engine is not loaded, or the host stops.</exception>
    public EngineLease Enter()
    {
        lock (_gate)
        {
            if (State != EngineHostState.Ready)
            {
                throw new EngineUnavailableException(ModelId, State, Failure);
            }

            _running++;
            return new EngineLease(this, Engine!);
        }
    }

    /// <summary>Takes no more requests.</summary>
    public void Drain()
    {
        lock (_gate)
        {
            if (State is EngineHostState.Loading or EngineHostState.Ready)
            {
                State = EngineHostState.Draining;
                if (_running == 0)
                {
                    _drained.TrySetResult();
                }
            }
        }

        if (!_disposed)
        {
            _stopping.Cancel(); // of a load; a request ends by itself
        }
    }

    /// <summary>Takes no more requests, waits for those that run and frees the engine.</summary>
    /// <param name="cancellationToken">Ends the waiting: what still runs then throws <see cref="ObjectDisposedException"/>.</param>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        Drain();
        try
        {
            await (_load ?? Task.CompletedTask).WaitAsync(cancellationToken).ConfigureAwait(false);
            if (State == EngineHostState.Draining)
            {
                await _drained.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            LogCutOff(ModelId, Running);
        }

        Dispose();
    }

    /// <summary>Frees the engine at once.</summary>
    public void Dispose()
    {
        Drain();
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
        }

        _onStopping.Dispose();
        Engine?.Dispose();
        Fail(new EngineUnavailableException(ModelId, EngineHostState.Draining)); // for those who wait for a load that never began
        if (_load is null or { IsCompleted: true })
        {
            _stopping.Dispose();
        }
    }

    internal void Leave()
    {
        lock (_gate)
        {
            if (--_running == 0 && State == EngineHostState.Draining)
            {
                _drained.TrySetResult();
            }
        }
    }

    private void Begin()
    {
        lock (_gate)
        {
            if (_load is null && State == EngineHostState.Loading)
            {
                _load = Task.Run(LoadAsync);
            }
        }
    }

    private async Task LoadAsync()
    {
        InferenceEngine? engine = null;
        try
        {
            engine = await InferenceEngine.LoadAsync(_options.ModelPath, _options.ToEngineOptions(_logger), new Stages(this), _stopping.Token).ConfigureAwait(false);
            if (_options.WarmUp)
            {
                await engine.WarmUpAsync(_stopping.Token).ConfigureAwait(false);
            }

            lock (_gate)
            {
                if (State != EngineHostState.Loading)
                {
                    throw new OperationCanceledException("the host has begun to stop");
                }

                (Engine, State) = (engine, EngineHostState.Ready);
            }

            _loaded.TrySetResult(engine);
        }
        catch (OperationCanceledException) when (State == EngineHostState.Draining)
        {
            engine?.Dispose();
            Fail(new EngineUnavailableException(ModelId, EngineHostState.Draining));
        }
        catch (Exception error) // whatever it is, the host goes on and says so
        {
            engine?.Dispose();
            lock (_gate)
            {
                (Failure, State) = (error, EngineHostState.Failed);
            }

            LogFailed(ModelId, _options.ModelPath, error);
            Fail(new EngineUnavailableException(ModelId, EngineHostState.Failed, error));
        }
    }

    private void Fail(Exception error)
    {
        if (_loaded.TrySetException(error))
        {
            _ = _loaded.Task.Exception; // seen, also where nobody waits
        }
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "the model {Model} in {Path} could not be loaded: no request will be served")]
    private partial void LogFailed(string model, string path, Exception error);

    [LoggerMessage(Level = LogLevel.Warning, Message = "the time for stopping is over: {Running} requests of {Model} are ended")]
    private partial void LogCutOff(string model, int running);

    private sealed class Stages(EngineHost host) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value) => host.Progress = value;
    }
}
