using System.Diagnostics.Metrics;
using NativeSpec.Engine;

namespace NativeSpec.Server.Metrics;

/// <summary>Listens to the meters of engines and server and keeps what they say, for <c>/metrics</c>.</summary>
internal sealed class MetricsCollector : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Lock _writing = new(); // the outer one
    private readonly MeterListener _listener = new();
    private readonly List<MetricFamily> _families = [];
    private readonly ServerMeter _server;

    public MetricsCollector(ServerMeter server)
    {
        _server = server;
        _listener.InstrumentPublished = Listen;
        _listener.SetMeasurementEventCallback<long>((_, value, tags, state) => Take(state, value, tags));
        _listener.SetMeasurementEventCallback<double>((_, value, tags, state) => Take(state, value, tags));
        _listener.Start();
    }

    /// <summary>Writes all that is known, in Prometheus' text format.</summary>
    public string Write()
    {
        lock (_writing) // one that begins would take away what another has just asked for
        {
            lock (_lock)
            {
                _families.ForEach(family => family.BeginObservation());
            }

            _listener.RecordObservableInstruments();
            lock (_lock)
            {
                return PrometheusText.Of([.. _families.OrderBy(family => family.Name, StringComparer.Ordinal)]);
            }
        }
    }

    public void Dispose() => _listener.Dispose();

    private void Listen(Instrument instrument, MeterListener listener)
    {
        if (instrument.Meter.Name != InferenceEngine.TelemetryName && !_server.Owns(instrument))
        {
            return;
        }

        var family = new MetricFamily(instrument, (instrument as Histogram<double>)?.Advice?.HistogramBucketBoundaries);
        lock (_lock)
        {
            _families.Add(family);
        }

        listener.EnableMeasurementEvents(instrument, family);
    }

    private void Take(object? family, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        lock (_lock)
        {
            ((MetricFamily)family!).Take(value, tags);
        }
    }
}
