using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace NativeSpec.Server.Metrics;

/// <summary>Counts HTTP requests, each once, whatever becomes of it.</summary>
internal sealed class ServerMeter : IDisposable
{
    /// <summary>The name to listen to.</summary>
    public const string Name = "NativeSpec.Server";

    private readonly Meter _meter = new(Name);
    private readonly Counter<long> _requests;
    private readonly UpDownCounter<long> _running;

    public ServerMeter()
    {
        _requests = _meter.CreateCounter<long>("nativespec.http.requests", "{request}", "HTTP requests that have ended, by endpoint and status; 499 is a client that went away");
        _running = _meter.CreateUpDownCounter<long>("nativespec.http.requests.running", "{request}", "HTTP requests that are being answered");
    }

    /// <summary>Whether an instrument is this server's: there may be others in the process.</summary>
    public bool Owns(Instrument instrument) => instrument.Meter == _meter;

    /// <summary>A request begins; it ends when the result is disposed.</summary>
    public Counted Begin(string endpoint)
    {
        _running.Add(1);
        return new Counted(this, endpoint);
    }

    public void Dispose() => _meter.Dispose();

    /// <summary>A request that is being answered.</summary>
    internal sealed class Counted(ServerMeter meter, string endpoint) : IDisposable
    {
        /// <summary>How it ended.</summary>
        public int Status { get; set; } = 500;

        public void Dispose()
        {
            meter._running.Add(-1);
            meter._requests.Add(1, new TagList { { "endpoint", endpoint }, { "status", Status } });
        }
    }
}
