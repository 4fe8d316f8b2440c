using System.Numerics;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Engine.Rounds;

/// <summary>How long a forward with rows of prompts takes: as long as the cost curve says of so many nodes, times a factor that is learnt for
/// each power of two of rows.</summary>
/// <remarks>The factor is below 1, because rows of a prompt have no logits; by how much depends on the vocabulary, on how far the curve was
/// measured, and on the machine. What a forward teaches about its number of rows it teaches, with less weight, about others. And nothing is taken to
/// be dearer than so many forwards of the last number of rows would be: a number that one bad moment, or a curve that was measured in one, has
/// made look dear is not avoided for ever.</remarks>
internal sealed class PromptCost(CostCurve curve)
{
    /// <summary>The weight of a forward, as soon as there have been a few.</summary>
    private const double Learning = 0.1;

    private readonly double[] _factors = [.. Enumerable.Repeat(1.0, 32)]; // [⌊log₂ rows⌋]
    private int _forwards;
    private int _lastRows = 1;

    /// <summary>Seconds of a forward.</summary>
    /// <param name="rows">Its rows, those of texts that are being written among them; 1 or more.</param>
    /// <param name="context">Tokens that they see, on average.</param>
    public double Seconds(int rows, int context) => rows <= _lastRows ? Learnt(rows, context)
        : Math.Min(Learnt(rows, context), Learnt(_lastRows, context) * rows / _lastRows);

    /// <summary>How many times as long as the curve says a forward without prompts takes now, as far as those with prompts show it: 1, or more
    /// where all that is computed has become slower since the curve last learnt. It learns from forwards without prompts alone.</summary>
    public double Slowness => Math.Max(FactorOf(_lastRows), 1);

    /// <summary>Learns from a forward that had rows of prompts. One that took many times longer than usual was disturbed, and counts as a
    /// slow one.</summary>
    public void Observe(int rows, int context, double seconds)
    {
        var usual = curve.At(rows, context);
        if (usual <= 0)
        {
            return;
        }

        _lastRows = rows;
        var factor = Math.Min(seconds / usual, SteadyMean.MostOfUsual * FactorOf(rows));
        var weight = Math.Max(1.0 / ++_forwards, Learning);
        for (var power = 0; power < _factors.Length; power++)
        {
            var distance = 1 + Math.Abs(power - BitOperations.Log2((uint)rows));
            _factors[power] += weight / (distance * distance) * (factor - _factors[power]);
        }
    }

    private double Learnt(int rows, int context) => curve.At(rows, context) * FactorOf(rows);

    private double FactorOf(int rows) => _factors[BitOperations.Log2((uint)rows)];
}
