using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cuda;

/// <summary>How much device memory things take, known without a device.</summary>
internal static class CudaMemory
{
    /// <summary>Bytes of matrices that are stacked and multiplied with.</summary>
    /// <param name="parts">The matrices.</param>
    /// <param name="format">What they are packed to; <see cref="WeightFormat.AsStored"/> leaves them as they are.</param>
    public static long WeightBytes(IReadOnlyList<TensorView> parts, WeightFormat format)
    {
        var held = parts[0].Format != WeightFormat.AsStored ? parts[0].Format : format;
        return CudaLayout.WeightBytes(CudaWeight.FormatOf(parts, held), checked((int)parts.Sum(part => part.Shape[0])), checked((int)parts[0].Shape[1]));
    }

    /// <summary>Bytes of a cache of so many rows.</summary>
    public static long CacheBytes(in KvShape shape) => checked((shape.Rows + RowBatch.PageSize) * CudaKv.BytesPerRow(shape));

    /// <summary>Bytes of a program's buffers, from above: values as floats and as rows that products read, those that stay, partial sums, and what
    /// attention leaves of its units.</summary>
    public static long BufferBytes(ForwardPlan plan)
    {
        var (layout, rows) = (BufferLayout.Of(plan), (long)CudaLayout.MostRows);
        var values = layout.Buffers.Sum(buffer => rows * ((sizeof(float) * (long)buffer.Width) + (2L * CudaLayout.FilledColumns(buffer.Width))));
        var home = plan.MaxRows > CudaLayout.MostRows ? plan.Values.Where(plan.IsKept).Sum(value => BufferLayout.RowCount(plan, value) * value.Width * sizeof(float)) : 0;
        var partials = plan.Steps.OfType<ProjectStep>().Where(step => !plan.IsKept(step.Into))
            .Select(step => rows * sizeof(float) * step.Weight.OutFeatures * CudaLayout.Segments(step.Weight.OutFeatures, CudaLayout.Stages(CudaFormat.F32, step.Weight.InFeatures)))
            .DefaultIfEmpty(0).Max();
        var units = plan.Steps.OfType<AttendStep>().Select(step => step.Attention)
            .Select(a => (CudaLayout.UnitOf(plan.MaxContext - 1) + 1) * rows * a.Heads * ((sizeof(float) * (long)CudaLayout.HeadWidth(a.HeadDim)) + 8)).DefaultIfEmpty(0).Max();
        return checked(values + home + partials + units);
    }
}
