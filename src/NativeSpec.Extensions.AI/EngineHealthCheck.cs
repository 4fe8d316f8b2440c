using System.Collections.ObjectModel;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using NativeSpec.Engine;

namespace NativeSpec.Extensions.AI;

/// <summary>Whether an engine can be sent requests. Unhealthy while it loads or drains and where it could not be loaded, has failed or is stuck, which it is when it has requests and has
/// computed nothing for longer than <see cref="NativeSpecOptions.StuckAfter"/>; degraded while it refuses requests because too many wait.</summary>
/// <param name="host">The engine.</param>
public sealed class EngineHealthCheck(EngineHost host) : IHealthCheck
{
    /// <inheritdoc/>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) => Task.FromResult(Check());

    private HealthCheckResult Check() => host switch
    {
        { State: EngineHostState.Loading } => HealthCheckResult.Unhealthy($"{host.ModelId} is being loaded: {host.Progress.Stage} {host.Progress.Share:P0}"),
        { State: EngineHostState.Draining } => HealthCheckResult.Unhealthy($"{host.ModelId} takes no more requests; {host.Running} run"),
        { State: EngineHostState.Failed } => HealthCheckResult.Unhealthy($"{host.ModelId} could not be loaded: {host.Failure?.Message}", host.Failure),
        { Engine: { } engine } => Judge(host.ModelId, engine.Snapshot(), host.Options),
        _ => HealthCheckResult.Unhealthy($"{host.ModelId} has no engine"),
    };

    /// <summary>What the numbers of a moment say.</summary>
    internal static HealthCheckResult Judge(string model, EngineSnapshot now, NativeSpecOptions options)
    {
        var pages = now.UsedPages + now.FreePages;
        var data = new ReadOnlyDictionary<string, object>(new Dictionary<string, object>
        {
            ["active"] = now.Active,
            ["waiting"] = now.Waiting,
            ["kv_fill"] = pages == 0 ? 0 : (double)now.UsedPages / pages,
            ["kv_pages_used"] = now.UsedPages,
            ["kv_pages_free"] = now.FreePages,
            ["preemptions"] = now.Preemptions,
            ["rounds"] = now.Rounds,
            ["since_last_round_seconds"] = now.SinceLastRound.TotalSeconds,
        });
        return now.IsFaulted ? HealthCheckResult.Unhealthy($"{model} has failed and refuses all requests", data: data)
            : now.Active > 0 && now.SinceLastRound > options.StuckAfter
                ? HealthCheckResult.Unhealthy($"{model} is stuck: {now.Active} requests, and the last round ended {now.SinceLastRound.TotalSeconds:0} s ago", data: data)
            : now.Waiting > 0 && now.Waiting >= options.MaxWaiting
                ? HealthCheckResult.Degraded($"{model} refuses requests: {now.Waiting} wait", data: data)
            : HealthCheckResult.Healthy($"{model}: {now.Active} requests run, {now.Waiting} wait", data);
    }
}
