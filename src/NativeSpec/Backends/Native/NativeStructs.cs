namespace NativeSpec.Backends.Native;

/// <summary>ns_part: rows of a matrix where they lie.</summary>
internal unsafe struct NativePart
{
    public void* Data;
    public long Rows;
    public int Type;
    public int Reserved;
}

/// <summary>ns_batch: the arrays of a <see cref="RowBatch"/>.</summary>
internal unsafe struct NativeBatch
{
    public int* Tokens;
    public int* Positions;
    public int* KvRows;
    public int* Trunk;
    public int* PageStart;
    public int* Pages;
    public int* PathStart;
    public int* PathRows;
    public int* LogitRows;
    public float* Cos;
    public float* Sin;
    public int AnglePositions;
    public int Rows;
    public int PageCount;
    public int PathCount;
    public int LogitCount;
}

/// <summary>ns_kv: a cache and its extents.</summary>
internal unsafe struct NativeKvView
{
    public void* Data;
    public long Rows;
    public int Layers;
    public int Heads;
    public int KvHeads;
    public int HeadDim;
    public int Type;
    public int Reserved;
}

/// <summary>Kinds of an ns_step.</summary>
internal enum NativeStepKind
{
    Embed = 0,
    Norm = 1,
    Project = 2,
    RopeAppend = 3,
    Attend = 4,
    Gather = 5,
    Layer = 6,
}

/// <summary>ns_step: one step of a forward.</summary>
internal unsafe struct NativeStep
{
    public NativeStepKind Kind;
    public RowSet Rows;
    public Epilogue Epilogue;
    public int Layer;
    public float* X;
    public float* Y;
    public nint Weight;
    public float* Gain;
    public float* QGain;
    public float* KGain;
    public NativePart Table;
    public long Width;
    public float Epsilon;
    public float Multiplier;
    public float Scale;
    public int Heads;
    public int KvHeads;
    public int HeadDim;
    public int RotaryDim;
    public int Window;
}

/// <summary>ns_room: for how many rows a program's memory has room, and memory to work in.</summary>
internal unsafe struct NativeRoom
{
    public long Rows;
    public long LogitRows;
    public float* Normed;
    public float* Projected;
}
