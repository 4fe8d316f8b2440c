using System.Numerics.Tensors;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;

namespace NativeSpec.Training.Layers;

/// <summary>x[row] = table[token[row]]; the gradient of a table row is the sum over its occurrences.</summary>
/// <remarks>table: [vocabulary, width]; x: [rows, width].</remarks>
internal sealed class Embedding(Workbench bench, Parameter table)
{
    public void Forward(TokenBatch batch, Matrix x) => bench.ForRanges(batch.Rows, (begin, end) =>
    {
        for (var row = begin; row < end; row++)
        {
            table.Value.Row(batch.Input(row)).CopyTo(x.Row(row));
        }
    });

    /// <summary>Adds to the table's gradient. Threads share it by columns, so that each sum has one order.</summary>
    public void Backward(TokenBatch batch, Matrix dx)
    {
        if (table.LearningRateFactor == 0)
        {
            return;
        }

        bench.ForRanges(dx.Columns, (begin, end) =>
        {
            for (var row = 0; row < batch.Rows; row++)
            {
                var gradient = table.Gradient.Row(batch.Input(row))[begin..end];
                TensorPrimitives.Add(gradient, dx.Row(row)[begin..end], gradient);
            }
        });
    }
}
