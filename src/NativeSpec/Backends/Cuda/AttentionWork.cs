namespace NativeSpec.Backends.Cuda;

/// <summary>Cuts a round's attention into items: rows of one sequence by a unit of their keys. Which items there are changes no bit, only how well they fill
/// the device.</summary>
/// <remarks>Rows are taken 16 pairs of a row and a query head at a time where their keys lie elsewhere, and where that makes few enough items to run side by side;
/// else 64 pairs at a time, since each item reads all keys of its unit. Long units come first, so that short ones fill the end, and items of one unit stand side by
/// side, so that its keys come from memory once.</remarks>
internal sealed class AttentionWork(int heads, int kvHeads, int window, int blocks)
{
    private const int FewPairs = 16, ManyPairs = 64;

    private readonly int _few = Math.Max(1, FewPairs / (heads / kvHeads));
    private readonly int _many = Math.Max(1, ManyPairs / (heads / kvHeads));

    /// <summary>Writes the items of a batch's rows.</summary>
    /// <param name="batch">The rows.</param>
    /// <param name="first">The first row.</param>
    /// <param name="count">How many.</param>
    /// <param name="items">Room for one of each row and unit of its keys.</param>
    /// <returns>How many there are.</returns>
    public int Plan(RowBatch batch, int first, int count, Span<AttentionItem> items)
    {
        var made = 0;
        for (var row = first; row < first + count;)
        {
            var end = row + 1;
            while (end < first + count && batch.PageStart[end] == batch.PageStart[row])
            {
                end++;
            }

            made += PlanSequence(batch, first, row, end, items[made..]);
            row = end;
        }

        items = items[..made];
        items.Sort(static (a, b) => Length(b) - Length(a) is var length and not 0 ? length
            : a.Pages != b.Pages ? a.Pages - b.Pages
            : a.Unit != b.Unit ? b.Unit - a.Unit
            : a.First - b.First);
        return made;
    }

    private static int Length(in AttentionItem item) => item.End - (item.BeginSteps * CudaLayout.StepKeys);

    private int PlanSequence(RowBatch batch, int first, int begin, int end, Span<AttentionItem> items)
    {
        var positions = batch.Positions.AsSpan(begin, end - begin);
        var (last, slots) = (0, int.MaxValue);
        for (var row = begin; row < end; row++)
        {
            last = Math.Max(last, batch.Positions[row]);
            slots = batch.Trunk[row] <= batch.Positions[row] ? Math.Min(slots, batch.Trunk[row]) : slots;
        }

        var units = CudaLayout.UnitOf(last) + 1;
        var areFew = (positions.Length + _few - 1) / _few * units * kvHeads <= blocks;
        var made = 0;
        for (var unit = units - 1; unit >= 0; unit--)
        {
            var (from, past) = (CudaLayout.UnitBegin(unit), CudaLayout.UnitBegin(unit + 1));
            var together = slots >= Math.Min(past, last + 1) && !areFew ? _many : _few;
            for (var at = 0; at < positions.Length; at += together)
            {
                var rows = positions.Slice(at, Math.Min(together, positions.Length - at));
                var (least, most) = (int.MaxValue, 0);
                foreach (var position in rows)
                {
                    (least, most) = (Math.Min(least, position), Math.Max(most, position));
                }

                var seen = window > 0 ? Math.Max(from, (least - window + 1) / CudaLayout.StepKeys * CudaLayout.StepKeys) : from;
                var stop = Math.Min(past, most + 1);
                if (seen < stop)
                {
                    items[made++] = new AttentionItem
                    {
                        Pages = batch.PageStart[begin],
                        Unit = checked((ushort)unit),
                        First = checked((ushort)(begin - first + at)),
                        Rows = checked((byte)rows.Length),
                        BeginSteps = checked((byte)((seen - from) / CudaLayout.StepKeys)),
                        End = checked((ushort)(stop - from)),
                        Slots = checked((ushort)(Math.Clamp(slots, from, stop) - from)),
                        SeesAll = checked((ushort)(Math.Clamp(least + 1, from, past) - from)),
                    };
                }
            }
        }

        return made;
    }
}
