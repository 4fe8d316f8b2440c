using NativeSpec.Sampling;
using NativeSpec.Tensors;
using NativeSpec.Training.Compute;

namespace NativeSpec.Training.Layers;

/// <summary>A tensor of a checkpoint that is a range of a parameter's rows.</summary>
/// <param name="Name">Its name in the checkpoint.</param>
/// <param name="Rows">How many rows it has.</param>
internal readonly record struct ParameterPart(string Name, int Rows);

/// <summary>A matrix that is learnt: its value in float32, its gradient, and what AdamW remembers of it. Matrices that are multiplied with
/// the same input (q, k and v; gate and up) are stacked in one.</summary>
internal sealed class Parameter : IDisposable
{
    /// <summary>Makes a parameter of zeros.</summary>
    /// <param name="bench">Where it is computed with.</param>
    /// <param name="parts">The checkpoint's tensors that it holds, from the first row on.</param>
    /// <param name="columns">Width of a row; a vector is one row.</param>
    /// <param name="decays">Whether weight decay pulls it to zero: matrices yes, norms and biases no.</param>
    public Parameter(Workbench bench, IReadOnlyList<ParameterPart> parts, int columns, bool decays)
    {
        Parts = parts;
        IsVector = !decays;
        Decays = decays;
        var rows = parts.Sum(part => part.Rows);
        Value = new Matrix(rows, columns);
        Gradient = new Matrix(rows, columns);
        FirstMoment = new NativeBuffer<float>((long)rows * columns);
        SecondMoment = new NativeBuffer<float>((long)rows * columns);
    }

    /// <summary>The tensors in it.</summary>
    public IReadOnlyList<ParameterPart> Parts { get; }

    /// <summary>Names it in files of the trainer.</summary>
    public string Name => string.Join('+', Parts.Select(part => part.Name));

    /// <summary>Whether its tensor has one extent in a checkpoint.</summary>
    public bool IsVector { get; }

    public bool Decays { get; }

    /// <summary>[rows, columns].</summary>
    public Matrix Value { get; }

    /// <summary>[rows, columns] ∂loss/∂value; layers add to it.</summary>
    public Matrix Gradient { get; }

    /// <summary>[rows · columns] running mean of the gradient.</summary>
    public NativeBuffer<float> FirstMoment { get; }

    /// <summary>[rows · columns] running mean of its square.</summary>
    public NativeBuffer<float> SecondMoment { get; }

    /// <summary>What the learning rate is multiplied with; 0 leaves the parameter as it is.</summary>
    public float LearningRateFactor { get; set; } = 1;

    /// <summary>Draws the value from N(0, deviation²); the same seed and stream give the same numbers.</summary>
    public void FillNormal(Workbench bench, double deviation, ulong seed, uint stream)
        => bench.ForRanges(Value.Rows, (begin, end) =>
        {
            for (var row = begin; row < end; row++)
            {
                var values = Value.Row(row);
                for (var column = 0; column < values.Length; column++)
                {
                    // Box and Muller (1958); one of the two numbers is enough.
                    var at = ((long)row * values.Length) + column;
                    var radius = Math.Sqrt(-2 * Math.Log(1 - CounterRandom.Uniform(seed, at, 2 * stream)));
                    values[column] = (float)(deviation * radius * Math.Cos(2 * Math.PI * CounterRandom.Uniform(seed, at, (2 * stream) + 1)));
                }
            }
        });

    public void Dispose()
    {
        Value.Dispose();
        Gradient.Dispose();
        FirstMoment.Dispose();
        SecondMoment.Dispose();
    }
}
