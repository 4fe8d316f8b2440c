using System.Diagnostics.Metrics;

namespace NativeSpec.Server.Metrics;

/// <summary>All series of one instrument.</summary>
internal sealed class MetricFamily
{
    /// <summary>More sets of tags than this are counted as one without tags: labels are for few words.</summary>
    private const int MaxSeries = 1024;

    private readonly List<MetricSeries> _series = [];
    private readonly IReadOnlyList<double> _boundaries;
    private readonly bool _adds; // measurements are added up; otherwise each is the whole value

    public MetricFamily(Instrument instrument, IReadOnlyList<double>? boundaries)
    {
        var kind = instrument.GetType().GetGenericTypeDefinition();
        IsHistogram = kind == typeof(Histogram<>);
        IsCounter = kind == typeof(Counter<>) || kind == typeof(ObservableCounter<>);
        _adds = kind == typeof(Counter<>) || kind == typeof(UpDownCounter<>);
        _boundaries = IsHistogram ? boundaries ?? [] : [];
        Instrument = instrument.Name;
        Help = instrument.Description ?? "";
        Name = instrument.Name.Replace('.', '_') + (instrument.Unit == "s" ? "_seconds" : "") + (IsCounter ? "_total" : "");
    }

    /// <summary>The instrument's name.</summary>
    public string Instrument { get; }

    /// <summary>Prometheus' name.</summary>
    public string Name { get; }

    public string Help { get; }

    public bool IsHistogram { get; }

    public bool IsCounter { get; }

    public IReadOnlyList<MetricSeries> Series => _series;

    public IReadOnlyList<double> Boundaries => _boundaries;

    /// <summary>Takes a measurement. The caller holds the collector's lock.</summary>
    public void Take(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var series = Find(tags);
        if (IsHistogram)
        {
            series.Record(value);
        }
        else
        {
            series.Value = _adds ? series.Value + value : value;
        }
    }

    /// <summary>Forgets what observable instruments said, before they are asked anew: an engine that is gone says nothing any more.</summary>
    public void BeginObservation()
    {
        if (!_adds && !IsHistogram)
        {
            _series.Clear();
        }
    }

    private MetricSeries Find(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        foreach (var series in _series)
        {
            if (series.Has(tags))
            {
                return series;
            }
        }

        if (_series.Count >= MaxSeries && tags.Length > 0)
        {
            return Find([]);
        }

        _series.Add(new MetricSeries(tags.ToArray(), _boundaries));
        return _series[^1];
    }
}
