namespace NativeSpec.Backends;

/// <summary>Which values of a plan share a buffer: a value takes one of its width that holds nothing any more, so all layers use the same few.
/// What a backend that computes in this process's memory allocates, and what a plan takes before anything is loaded.</summary>
internal sealed class BufferLayout
{
    private readonly int[] _bufferOf; // [value]
    private readonly List<Rows> _buffers = [];

    private BufferLayout(ForwardPlan plan)
    {
        _bufferOf = new int[plan.Values.Count];
        Array.Fill(_bufferOf, -1);
        var last = LastUse(plan);
        Stack<int> free = [];
        List<Rows> live = [.. plan.Values.Where(plan.IsKept)];
        live.ForEach(kept => _bufferOf[kept.Number] = Take(kept));
        for (var step = 0; step < plan.Steps.Count; step++)
        {
            var (reads, writes) = (plan.Steps[step].Reads, plan.Steps[step].Writes);
            if (writes is not null && _bufferOf[writes.Number] < 0)
            {
                _bufferOf[writes.Number] = Take(writes);
            }

            // What this step was the last to use is free for the next.
            foreach (var value in new[] { reads, writes }.OfType<Rows>().Distinct().Where(value => last[value.Number] == step && !plan.IsKept(value)))
            {
                free.Push(_bufferOf[value.Number]);
            }

            if (plan.Steps[step] is ProjectStep project)
            {
                NormedWidth = Math.Max(NormedWidth, project.Norm is null ? 0 : project.X.Width);
                RoomWidth = Math.Max(RoomWidth, project.NeedsRoom ? project.Weight.OutFeatures : 0);
            }
        }

        Bytes = checked(sizeof(float) * (((long)plan.MaxRows * (NormedWidth + RoomWidth)) + _buffers.Sum(buffer => RowCount(plan, buffer) * buffer.Width)));

        int Take(Rows value)
        {
            List<int> others = [];
            var found = -1;
            while (found < 0 && free.TryPop(out var buffer))
            {
                if (_buffers[buffer].Width == value.Width && _buffers[buffer].Of == value.Of)
                {
                    found = buffer;
                }
                else
                {
                    others.Add(buffer);
                }
            }

            others.ForEach(free.Push);
            if (found < 0)
            {
                found = _buffers.Count;
                _buffers.Add(value);
            }

            return found;
        }
    }

    /// <summary>One value of each buffer: its width and rows are the buffer's.</summary>
    public IReadOnlyList<Rows> Buffers => _buffers;

    /// <summary>Widest row that is normed before a projection; 0 for none.</summary>
    public int NormedWidth { get; }

    /// <summary>Widest projection that is not itself stored; 0 for none.</summary>
    public int RoomWidth { get; }

    /// <summary>Bytes of all buffers.</summary>
    public long Bytes { get; }

    /// <summary>Lays out the values of a plan.</summary>
    public static BufferLayout Of(ForwardPlan plan) => new(plan);

    /// <summary>The most rows of a value.</summary>
    public static long RowCount(ForwardPlan plan, Rows value) => value.Of == RowSet.All ? plan.MaxRows : plan.MaxLogitRows;

    /// <summary>The buffer of a value.</summary>
    public int BufferOf(Rows value) => _bufferOf[value.Number];

    private static int[] LastUse(ForwardPlan plan)
    {
        var last = new int[plan.Values.Count];
        for (var step = 0; step < plan.Steps.Count; step++)
        {
            foreach (var value in new[] { plan.Steps[step].Reads, plan.Steps[step].Writes }.OfType<Rows>())
            {
                last[value.Number] = step;
            }
        }

        return last;
    }
}
