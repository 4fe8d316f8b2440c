using Microsoft.Extensions.Hosting;
using NativeSpec.Extensions.AI;

namespace NativeSpec.Server.Hosting;

/// <summary>Lets running requests end before the server stops to listen: as long as they run, new ones are answered 503, and who asks whether the server is ready sees that it is
/// not. Requests that take longer than they may end with an error, which their clients are told.</summary>
internal sealed class DrainService(EngineHost host, NativeSpecServerOptions options) : IHostedLifecycleService
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(10), ToSayWhy = TimeSpan.FromSeconds(2);

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        host.Drain();
        if (!await RunOutAsync(options.DrainTimeout, cancellationToken).ConfigureAwait(false))
        {
            host.Dispose();
            await RunOutAsync(ToSayWhy, cancellationToken).ConfigureAwait(false);
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private async Task<bool> RunOutAsync(TimeSpan time, CancellationToken cancellationToken)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        over.CancelAfter(time);
        while (host.Running > 0 && !over.IsCancellationRequested)
        {
            await Task.Delay(Look, over.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        return host.Running == 0;
    }
}
