using NativeSpec.Backends.Cuda.Driver;

namespace NativeSpec.Backends.Cuda;

/// <summary>Turns a plan into launches. What kernels do on their way to something else costs no launch of its own: partial sums of a product are added by
/// the norm behind it, q, k and v are summed, rotated and stored at once, gate and up leave as the rows that the next product reads, as does attention.
/// Only what stays (kept values, biases, Medusa's blocks), and sums whose parts are to be added first, go through <c>finish_rows</c>.</summary>
internal sealed partial class PlanTranslator
{
    private readonly ForwardPlan _plan;
    private readonly PlanStep[] _steps;
    private readonly BufferLayout _layout;
    private readonly CudaBackend _backend;
    private readonly CudaKv? _kv;
    private readonly DeviceBuffers _buffers;
    private readonly PassLimits _most;
    private readonly int _mostLogitRows;
    private readonly int _mostParts; // rows that a row is for a product

    public PlanTranslator(ForwardPlan plan, CudaBackend backend, CudaKv? kv, DeviceBuffers buffers, in PassLimits most)
    {
        (_plan, _backend, _kv, _buffers, _most) = (plan, backend, kv, buffers, most);
        _mostLogitRows = CudaMemory.LogitRows(plan, most.Rows);
        _steps = [.. plan.Steps.Where(step => step is not LayerStep)];
        _layout = BufferLayout.Of(plan);
        _mostParts = _steps.OfType<ProjectStep>().Select(step => CudaLayout.RowsOfParts(PartsOf(step))).DefaultIfEmpty(1).Max();
    }

    /// <summary>How a product leaves its sums.</summary>
    private enum Ending
    {
        /// <summary>As a value.</summary>
        Direct,
        /// <summary>As partial sums that the next step takes: a norm, or the rotation.</summary>
        Partial,
        /// <summary>As partial sums that <c>finish_rows</c> makes a value of.</summary>
        Finish,
        /// <summary>As rows that the next product reads.</summary>
        Packed,
    }

    /// <summary>The address of a value's floats: the rows of one pass.</summary>
    public ulong Value(CudaTurn turn, Rows value)
        => _buffers.Get(turn, BufferUse.Value, _layout.BufferOf(value), (long)MostRows(value) * value.Width * sizeof(float));

    /// <summary>The launches for a bucket of rows and one of rows with logits, 0 for none, along whose trees they walk or not.</summary>
    public LaunchList Translate(CudaTurn turn, CudaStaging staging, int rows, int logitRows, bool walks)
    {
        var launches = new LaunchList(_backend.Device.HasDependentLaunch);
        try
        {
            new Pass(this, turn, staging, launches, rows, logitRows).Translate(walks);
            return launches;
        }
        catch
        {
            launches.Dispose();
            throw;
        }
    }

    /// <summary>Rows of a value that a pass has at most.</summary>
    private int MostRows(Rows value) => value.Of == RowSet.All ? _most.Rows : _mostLogitRows;

    private static int PartsOf(ProjectStep project) => CudaLayout.RowParts(((CudaWeight)project.Weight).Format);

    /// <summary>In how many parts products that read a value, and nothing else does, take rows (<see cref="CudaLayout.RowParts"/>); null where something else reads it.</summary>
    private int? PackedFor(Rows value)
    {
        int? takes = null;
        foreach (var step in _steps)
        {
            if (step.Reads != value || (step.Writes == value && step is not ProjectStep))
            {
                continue;
            }

            if (step is not ProjectStep { Norm: null } project || project.Into == value)
            {
                return null;
            }

            var parts = PartsOf(project);
            if (takes is { } other && other != parts)
            {
                return null;
            }

            takes = parts;
        }

        return takes;
    }

    private Ending EndingOf(ProjectStep project)
    {
        var weight = (CudaWeight)project.Weight;
        var isWhole = !weight.HasBias && PartsOf(project) < 2; // sums of parts are still to be added
        switch (project.Epilogue)
        {
            case Epilogue.Add:
                return weight.HasBias ? Ending.Finish : Ending.Partial;
            case Epilogue.AddSilu:
                return Ending.Finish;
            case Epilogue.SwiGlu:
                // Who reads packed rows takes what this leaves.
                return isWhole && project.Into.Width % 8 == 0 && !_plan.IsKept(project.Into) && PackedFor(project.Into) == PartsOf(project) ? Ending.Packed : Ending.Finish;
            default:
                var rotated = !_plan.IsKept(project.Into) && Array.IndexOf(_steps, project) is var at && at + 1 < _steps.Length && _steps[at + 1] is RopeStep rope && rope.Qkv == project.Into;
                return rotated ? Ending.Partial : isWhole ? Ending.Direct : Ending.Finish;
        }
    }

    private long PartialBytes()
    {
        var most = 0L;
        foreach (var project in _steps.OfType<ProjectStep>().Where(project => EndingOf(project) is Ending.Partial or Ending.Finish))
        {
            var weight = (CudaWeight)project.Weight;
            var segments = CudaLayout.Segments(weight.OutFeatures, CudaLayout.Stages(weight.Format, weight.InFeatures));
            most = Math.Max(most, (long)segments * CudaLayout.RowsOfParts(PartsOf(project)) * MostRows(project.X) * weight.OutFeatures * sizeof(float));
        }

        return most;
    }
}
