using NativeSpec.Backends;
using NativeSpec.Ilgpu.Kernels;

namespace NativeSpec.Ilgpu;

/// <summary>What rows of logits say of themselves, found where they lie: a token, the highest logit and log-sum-exp for all rows of a run; the likeliest tokens of all rows when they
/// are first asked for.</summary>
/// <param name="device">The device.</param>
/// <param name="vocabulary">Numbers of a row.</param>
/// <param name="rows">Rows at most.</param>
internal sealed class RowAnswers(IlgpuDevice device, int vocabulary, int rows) : IDisposable
{
    private readonly DeviceBuffer<ChoiceRule> _rules = device.Allocate<ChoiceRule>(rows);
    private readonly DeviceBuffer<ulong> _ranks = device.Allocate<ulong>((long)rows * Choose.Slices);
    private readonly DeviceBuffer<double> _sums = device.Allocate<double>((long)rows * Choose.Slices);
    private readonly DeviceBuffer<double> _races = device.Allocate<double>((long)rows * Choose.Slices);
    private readonly DeviceBuffer<int> _winners = device.Allocate<int>((long)rows * Choose.Slices);
    private readonly DeviceBuffer<RowAnswer> _answers = device.Allocate<RowAnswer>(rows);
    private readonly DeviceBuffer<ulong> _highest = device.Allocate<ulong>((long)rows * TopK.Slices * TopK.Most);
    private readonly DeviceBuffer<int> _ids = device.Allocate<int>((long)rows * TopK.Most);
    private readonly DeviceBuffer<float> _values = device.Allocate<float>((long)rows * TopK.Most);
    private readonly ChoiceRule[] _asked = new ChoiceRule[rows];
    private readonly RowAnswer[] _here = new RowAnswer[rows];
    private readonly int[] _idsHere = new int[rows * TopK.Most];
    private readonly float[] _valuesHere = new float[rows * TopK.Most];
    private int _count; // rows of the last run
    private int _found; // likeliest tokens of each of them that are known

    /// <summary>Bytes on the device.</summary>
    public long Bytes => _rules.Bytes + _ranks.Bytes + _sums.Bytes + _races.Bytes + _winners.Bytes + _answers.Bytes + _highest.Bytes + _ids.Bytes + _values.Bytes;

    /// <summary>Says how the next run chooses.</summary>
    public void Ask(int row, in RowQuestion question)
        => _asked[row] = new ChoiceRule { Seed = question.Seed, Position = question.Position, Temperature = question.Temperature, IsAsked = 1 };

    /// <summary>Forgets how the next run chooses.</summary>
    public void Forget() => Array.Clear(_asked);

    /// <summary>Finds the answers of a run.</summary>
    public void Find(DeviceRows logits, int count)
    {
        (_count, _found) = (count, 0);
        Array.Fill(_here, new RowAnswer { Chosen = -1 });
        if (count == 0)
        {
            return;
        }

        _rules.Upload(_asked.AsSpan(0, count));
        var arguments = new Choose.Arguments
        {
            Logits = logits.View,
            Rules = _rules.View,
            Ranks = _ranks.View,
            Sums = _sums.View,
            Races = _races.View,
            Winners = _winners.View,
            Answers = _answers.View,
            Vocabulary = vocabulary,
            Stride = logits.Stride,
        };
        device.Kernels.FindHighest.Launch((long)count * Choose.Slices, arguments);
        device.Kernels.WeighChoices.Launch((long)count * Choose.Slices, arguments);
        device.Kernels.Answer.Launch(count, arguments);
        _answers.Download(_here.AsSpan(0, count));
    }

    /// <summary>What a row of the last run says of itself.</summary>
    public RowSummary Answer(int row) => new(_here[row].Chosen, _here[row].Highest, _here[row].LogSum);

    /// <summary>Writes a row's highest logits and their ids.</summary>
    public int Top(DeviceRows logits, int row, Span<int> ids, Span<float> values)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(values.Length, ids.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)_count);
        var wanted = Math.Min(ids.Length, vocabulary);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(wanted, TopK.Most, nameof(ids));
        if (_found < wanted)
        {
            _found = wanted;
            var arguments = new TopK.Arguments { Logits = logits.View, Highest = _highest.View, Ids = _ids.View, Values = _values.View, Vocabulary = vocabulary, Stride = logits.Stride, K = wanted };
            device.Kernels.CollectTop.Launch((long)_count * TopK.Slices, arguments);
            device.Kernels.PlaceTop.Launch((long)_count * TopK.Slices * wanted, arguments);
            _ids.Download(_idsHere.AsSpan(0, _count * wanted));
            _values.Download(_valuesHere.AsSpan(0, _count * wanted));
        }

        _idsHere.AsSpan(row * _found, wanted).CopyTo(ids);
        _valuesHere.AsSpan(row * _found, wanted).CopyTo(values);
        return wanted;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _rules.Dispose();
        _ranks.Dispose();
        _sums.Dispose();
        _races.Dispose();
        _winners.Dispose();
        _answers.Dispose();
        _highest.Dispose();
        _ids.Dispose();
        _values.Dispose();
    }
}
