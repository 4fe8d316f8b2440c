using System.Diagnostics.Metrics;

namespace NativeSpec.Tests.Engine.Telemetry;

/// <summary>Collects what the meter "NativeSpec" reports of engines of some names.</summary>
internal sealed class MeteredValues : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly List<(string Instrument, double Value, Dictionary<string, object?> Tags)> _values = [];
    private readonly Lock _lock = new();

    /// <summary>Listens to all instruments.</summary>
    public MeteredValues(params string[] engines)
        : this(_ => true, engines)
    {
    }

    /// <summary>Listens to some.</summary>
    public MeteredValues(Func<string, bool> hears, params string[] engines)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == "NativeSpec" && hears(instrument.Name))
            {
                Instruments.Add(instrument);
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Take(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Take(instrument, value, tags));
        _listener.Start();

        void Take(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            Dictionary<string, object?> named = [];
            foreach (var (name, tag) in tags)
            {
                named.Add(name, tag);
            }

            lock (_lock)
            {
                if (engines.Contains(named["gen_ai.request.model"]))
                {
                    _values.Add((instrument.Name, value, named));
                }
            }
        }
    }

    public List<Instrument> Instruments { get; } = [];

    /// <summary>The values of an instrument whose tags are these.</summary>
    public double[] Of(string instrument, params (string Name, object? Value)[] tags)
    {
        lock (_lock)
        {
            return [.. _values.Where(value => value.Instrument == instrument && tags.All(tag => Equals(value.Tags.GetValueOrDefault(tag.Name), tag.Value))).Select(value => value.Value)];
        }
    }

    /// <summary>What gauges show now.</summary>
    public double Now(string instrument, params (string Name, object? Value)[] tags)
    {
        lock (_lock)
        {
            _values.RemoveAll(value => value.Instrument == instrument);
        }

        _listener.RecordObservableInstruments();
        return Of(instrument, tags).Sum();
    }

    public void Dispose() => _listener.Dispose();
}
