using System.Runtime.InteropServices;
using Microsoft.Extensions.Hosting;

namespace NativeSpec.Server.Hosting;

/// <summary>Ends the host where SIGTERM asks the process to end. Ctrl+C is the command's affair.</summary>
internal sealed class SignalLifetime(IHostApplicationLifetime lifetime) : IHostLifetime, IDisposable
{
    private PosixSignalRegistration? _registration;

    public Task WaitForStartAsync(CancellationToken cancellationToken)
    {
        _registration = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal =>
        {
            signal.Cancel = true;
            lifetime.StopApplication();
        });
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _registration?.Dispose();
}
