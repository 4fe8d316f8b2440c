namespace NativeSpec.Server.Metrics;

/// <summary>The values of an instrument for one set of tags.</summary>
/// <param name="tags">The tags.</param>
/// <param name="boundaries">Upper bounds of a histogram's buckets; none for a number.</param>
internal sealed class MetricSeries(KeyValuePair<string, object?>[] tags, IReadOnlyList<double> boundaries)
{
    private readonly long[] _buckets = new long[boundaries.Count + 1];

    /// <summary>The tags.</summary>
    public IReadOnlyList<KeyValuePair<string, object?>> Tags => tags;

    /// <summary>The sum of what was measured, or the last value of a gauge.</summary>
    public double Value { get; set; }

    /// <summary>How often a histogram's instrument measured.</summary>
    public long Count { get; private set; }

    /// <summary>[bucket] how often the value was at most its bound, and above the one before; the last has no bound.</summary>
    public IReadOnlyList<long> Buckets => _buckets;

    /// <summary>Whether these are its tags; an instrument gives them in one order.</summary>
    public bool Has(ReadOnlySpan<KeyValuePair<string, object?>> others)
    {
        if (others.Length != tags.Length)
        {
            return false;
        }

        for (var i = 0; i < tags.Length; i++)
        {
            if (tags[i].Key != others[i].Key || !Equals(tags[i].Value, others[i].Value))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Adds a value to a histogram.</summary>
    public void Record(double value)
    {
        var bucket = 0;
        while (bucket < boundaries.Count && value > boundaries[bucket])
        {
            bucket++;
        }

        _buckets[bucket]++;
        Count++;
        Value += value;
    }
}
