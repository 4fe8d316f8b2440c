namespace NativeSpec.Backends.Cuda;

/// <summary>Where a round's data lie in the one block that goes up: what has a fixed length for a bucket, then the list of attention's work, and behind
/// it, as long as they are this time, page numbers, path rows and moves. Those are found by indices into the block as a whole, so graphs hold no
/// lengths.</summary>
internal readonly struct RoundLayout
{
    /// <summary>Lays a bucket out.</summary>
    /// <param name="rows">Rows of the bucket.</param>
    /// <param name="logitRows">Of those whose logits are wanted.</param>
    public RoundLayout(int rows, int logitRows)
    {
        var at = 0;
        Tokens = Take(rows * sizeof(int));
        Positions = Take(rows * sizeof(int));
        KvRows = Take(rows * sizeof(int));
        Trunk = Take(rows * sizeof(int));
        PageStart = Take(rows * sizeof(int));
        PathStart = Take(rows * sizeof(int));
        LogitRows = Take(logitRows * sizeof(int));
        ItemCount = Take(sizeof(int));
        MoveList = Take(2 * sizeof(int));
        Rules = Take(logitRows * 24);
        TreeCount = Take(sizeof(int));
        Trees = Take(logitRows * 2 * sizeof(int));
        Parents = Take(logitRows * sizeof(int));
        Items = at;

        int Take(int bytes)
        {
            var here = at;
            at += (bytes + 15) / 16 * 16;
            return here;
        }
    }

    public int Tokens { get; }

    public int Positions { get; }

    public int KvRows { get; }

    public int Trunk { get; }

    public int PageStart { get; }

    public int PathStart { get; }

    public int LogitRows { get; }

    public int ItemCount { get; }

    public int MoveList { get; }

    public int Rules { get; }

    public int TreeCount { get; }

    public int Trees { get; }

    public int Parents { get; }

    /// <summary>The work of attention; from here on lengths vary.</summary>
    public int Items { get; }
}
