using System.Runtime.CompilerServices;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cuda;

/// <summary>How much device memory things take, known without a device.</summary>
internal static class CudaMemory
{
    /// <summary>Bytes of matrices that are stacked and multiplied with.</summary>
    /// <param name="parts">The matrices.</param>
    /// <param name="format">What they are packed to; <see cref="WeightFormat.AsStored"/> leaves them as they are.</param>
    public static long WeightBytes(IReadOnlyList<TensorView> parts, WeightFormat format)
        => CudaLayout.WeightBytes(FormatOf(parts, format), checked((int)parts.Sum(part => part.Shape[0])), checked((int)parts[0].Shape[1]));

    /// <summary>In how many parts a product with such matrices takes its rows (<see cref="CudaLayout.RowParts"/>).</summary>
    public static int RowParts(IReadOnlyList<TensorView> parts, WeightFormat format) => CudaLayout.RowParts(FormatOf(parts, format));

    /// <summary>Bytes of a cache of so many rows.</summary>
    public static long CacheBytes(in KvShape shape, KvFormat format) => checked((shape.Rows + RowBatch.PageSize) * CudaKv.BytesPerRow(shape, format));

    /// <summary>What the partial results of attention may take: passes far behind in long texts have fewer rows.</summary>
    public const long MostUnitBytes = 256L << 20;

    /// <summary>Rows of a pass at most, where all its rows stand early enough.</summary>
    public static int MostRows(ForwardPlan plan) => CudaLayout.NextPass(plan.MaxRows, CudaLayout.PromptRows).Bucket;

    /// <summary>For how many pairs of a row and a unit of its keys the partial results of attention have room: those of a round at the end of the context, and
    /// as many more, up to those of a whole pass there, as fit into <paramref name="unitBytes"/>. 0 where nothing is attended to.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="context">Positions of a sequence at most.</param>
    /// <param name="unitBytes">What they may take where a round does not take more.</param>
    public static long UnitPlaces(ForwardPlan plan, int context, long unitBytes)
    {
        var (rows, units, bytes) = (MostRows(plan), CudaLayout.UnitOf(context - 1) + 1L, PlaceBytes(plan));
        return bytes == 0 ? 0 : Math.Max(units * Math.Min(rows, CudaLayout.RoundRows), Math.Min(units * rows, unitBytes / bytes));
    }

    /// <summary>Rows of a pass at most whose last one stands at a position: so many that the partial results of their attention have room.</summary>
    /// <param name="most">Rows of a pass at most wherever they stand.</param>
    /// <param name="places">What there is room for (<see cref="UnitPlaces"/>).</param>
    /// <param name="last">The position.</param>
    public static int PassRows(int most, long places, int last)
    {
        var rows = most;
        while (rows > CudaLayout.RoundRows && rows * (CudaLayout.UnitOf(last) + 1L) > places)
        {
            rows /= 2;
        }

        return rows;
    }

    /// <summary>The largest bucket of rows with logits of a pass; 0 where there are none.</summary>
    public static int LogitRows(ForwardPlan plan, int passRows) => plan.MaxLogitRows == 0 ? 0 : CudaLayout.BucketOf(Math.Min(plan.MaxLogitRows, passRows));

    /// <summary>Bytes of a program's buffers, from above: values as floats and as rows that products read, those that stay, partial sums, angles,
    /// what goes up, and what attention leaves of its units.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="finishesGates">Whether sums of gate and up are added up like others, and do not leave packed: where they have biases, or other rows than down takes.</param>
    /// <param name="rowParts">Rows that a row is for a product at most: where there are two all sums are added up.</param>
    public static long BufferBytes(ForwardPlan plan, bool finishesGates, int rowParts)
    {
        var (layout, most) = (BufferLayout.Of(plan), MostRows(plan));
        var (rows, logitRows) = ((long)most, (long)LogitRows(plan, most));
        var values = layout.Buffers.Sum(buffer => RowsOf(buffer) * sizeof(float) * buffer.Width);
        var projections = plan.Steps.OfType<ProjectStep>().ToArray();
        var attended = plan.Steps.OfType<AttendStep>().Select(step => step.Into).ToHashSet(); // have rows of their own
        var packed = projections.Select(step => step.X).DistinctBy(x => (x.Of, CudaLayout.FilledColumns(x.Width), attended.Contains(x))).Sum(x => CudaLayout.ActivationBytes(x.Width, most * rowParts));
        var home = plan.MaxRows > CudaLayout.RoundRows ? plan.Values.Where(plan.IsKept).Sum(value => BufferLayout.RowCount(plan, value) * value.Width * sizeof(float)) : 0;
        var stages = rowParts > 1 ? CudaFormat.F32 : CudaFormat.BF16; // of the others none has more
        var partials = projections.Where(step => rowParts > 1 || (!plan.IsKept(step.Into) && (finishesGates || step.Epilogue != Epilogue.SwiGlu)))
            .Select(step => RowsOf(step.X) * rowParts * sizeof(float) * step.Weight.OutFeatures * CudaLayout.Segments(step.Weight.OutFeatures, CudaLayout.Stages(stages, step.Weight.InFeatures)))
            .DefaultIfEmpty(0).Max();
        var rotaryDim = plan.Steps.OfType<RopeStep>().Select(step => step.Attention.RotaryDim).DefaultIfEmpty(0).Max();
        var angles = sizeof(float) * (long)plan.MaxContext * rotaryDim;
        var places = UnitPlaces(plan, plan.MaxContext, MostUnitBytes);
        var upload = (places * Unsafe.SizeOf<AttentionItem>()) + new RoundLayout(most, (int)logitRows).Items + (sizeof(int) * ((long)plan.MaxRows * (plan.MaxRows + 1) / 2)); // with the longest paths there are
        return checked(values + packed + home + partials + angles + upload + (places * PlaceBytes(plan)));

        long RowsOf(Rows value) => value.Of == RowSet.All ? rows : logitRows;
    }

    private static CudaFormat FormatOf(IReadOnlyList<TensorView> parts, WeightFormat format) => CudaWeight.FormatOf(parts, parts[0].Format != WeightFormat.AsStored ? parts[0].Format : format);

    /// <summary>What attention leaves of a row and a unit: maximum, sum and weighted values of every head.</summary>
    private static long PlaceBytes(ForwardPlan plan)
        => plan.Steps.OfType<AttendStep>().Select(step => step.Attention)
            .Select(a => a.Heads * ((sizeof(float) * (long)CudaLayout.HeadWidth(a.HeadDim)) + 8)).DefaultIfEmpty(0).Max();
}
