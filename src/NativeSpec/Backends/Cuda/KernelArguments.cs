using System.Runtime.InteropServices;

namespace NativeSpec.Backends.Cuda;

// The arguments of the kernels, field for field as kernels/cuda/operations.h has them; what each means is said there. Device addresses are ulong.

[StructLayout(LayoutKind.Sequential)]
internal struct EmbedArguments
{
    public ulong Table;
    public ulong Tokens;
    public ulong X;
    public int Width;
    public int Format;
    public float Scale;
}

[StructLayout(LayoutKind.Sequential)]
internal struct RmsNormArguments
{
    public ulong X;
    public ulong Partials;
    public ulong PostGain;
    public ulong Gain;
    public ulong Source;
    public ulong Y;
    public int Segments;
    public int Bucket;
    public int YTiles;
    public int Width;
    public int Parts;
    public float Epsilon;
}

[StructLayout(LayoutKind.Sequential)]
internal struct MatMulArguments
{
    public ulong Weights;
    public ulong X;
    public ulong Y;
    public int Stages;
    public int Segments;
    public int Slabs;
    public int Out;
    public int RowBlocks;
    public int Ring;
    public int SwiGlu;
    public float Scale;
    public float SwiGluScale;
}

[StructLayout(LayoutKind.Sequential)]
internal struct RopeAppendArguments
{
    public ulong Partials;
    public ulong Bias;
    public ulong QGain;
    public ulong KGain;
    public ulong Cos;
    public ulong Sin;
    public ulong Positions;
    public ulong KvRows;
    public ulong Q;
    public ulong Keys;
    public ulong Values;
    public int Segments;
    public int Bucket;
    public int Heads;
    public int KvHeads;
    public int HeadWidth;
    public int Width;
    public int Rotated;
    public int Parts;
    public float Epsilon;
}

[StructLayout(LayoutKind.Sequential)]
internal struct AttentionItem
{
    public int Pages;
    public ushort Unit;
    public ushort First;
    public byte Rows;
    public byte BeginSteps;
    public ushort End;
    public ushort Slots;
    public ushort SeesAll;
}

[StructLayout(LayoutKind.Sequential)]
internal struct TreeAttentionArguments
{
    public ulong Q;
    public ulong Keys;
    public ulong Values;
    public ulong MaximaSums;
    public ulong Weighted;
    public ulong Positions;
    public ulong Trunk;
    public ulong PageStart;
    public ulong Pages;
    public ulong PathStart;
    public ulong PathRows;
    public ulong Items;
    public ulong ItemCount;
    public int MostItems;
    public int Bucket;
    public int Heads;
    public int KvHeads;
    public int Window;
    public float Scale;
}

[StructLayout(LayoutKind.Sequential)]
internal struct AttentionFoldArguments
{
    public ulong MaximaSums;
    public ulong Weighted;
    public ulong Positions;
    public ulong Y;
    public int Bucket;
    public int Heads;
    public int HeadWidth;
    public int Width;
    public int Window;
    public int YTiles;
    public int Parts;
}

/// <summary>y[i] (F32) = what stands between a product and the next step that is no product, where no other kernel does it on its way:
/// base[source[i]] + Σ partial sums + bias, by an epilogue (<see cref="Epilogue"/>): Store, Add (y itself is the base), SwiGlu (gate above up, not in
/// turns), AddSilu. Or its norm, where a gain is given: hidden rows. A block per row of y.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FinishRowsArguments
{
    public ulong X;        // float [rows, width] or null: what is added to
    public ulong Partials; // float [segments][bucket][width, or 2 · width for SwiGlu], or null with 0 segments
    public ulong Bias;     // float [width, or 2 · width for SwiGlu] or null
    public ulong Gain;     // float [width] or null: y is the norm of the sum
    public ulong Source;   // rows of X and of the partial sums to take, or null: row i
    public ulong Y;        // float [rows, width]
    public int Segments;
    public int Bucket;     // rows of the partial sums
    public int Width;      // of a row of Y
    public int Epilogue;
    public float Epsilon;
}

/// <summary>Rows that stand together in a list.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RowList
{
    public int First;
    public int Count;
}

/// <summary>The path along each tree by the tokens chosen for its rows, and the moves that it takes: a block of a warp for each tree.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct WalkTreesArguments
{
    public ulong Trees;     // RowList [trees] of rows with logits
    public ulong TreeCount; // int
    public ulong Parents;   // int [rows with logits] number in the tree; −1: never on a path
    public ulong LogitRows; // int [rows with logits]
    public ulong Tokens;    // int [rows]
    public ulong KvRows;    // int [rows]
    public ulong Answers;   // RowAnswer [rows with logits]
    public ulong Paths;     // int [rows with logits] nodes from a tree's first row on, −1 behind them
    public ulong Moves;     // KvMove [rows with logits] what is moved
    public ulong Lists;     // RowList [trees] of these, those of a tree
}

/// <summary>A cache row becomes another.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvMove
{
    public int From;
    public int To;
}

/// <summary>The moves of each list in turn; lists have nothing to do with one another.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MoveKvRowsArguments
{
    public ulong Planes;
    public ulong Moves;     // KvMove
    public ulong Lists;     // RowList of moves
    public ulong ListCount; // int, or null: one
    public int KvHeads;
    public int Width;
}

[StructLayout(LayoutKind.Sequential)]
internal struct PackWeightsArguments
{
    public ulong Source;
    public ulong Packed;
    public int SourceFormat;
    public int Out;
    public int In;
    public int GateUp;
    public float Scale;
}

/// <summary>What a row is chosen by (kernel choose): the token with the highest logit (<see cref="Temperature"/> 0), or the Gumbel maximum, as
/// Sampling/GumbelMax computes it over all tokens: (logit − highest) / temperature + noise in float64.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ChoiceRule
{
    public ulong Seed;
    public long Position;
    public float Temperature;
    public int IsAsked;    // 0: the row is not chosen from here
}

/// <summary>What a row says of itself: 16 bytes that come down with the round.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RowAnswer
{
    public int Chosen;      // −1 where it was not asked
    public float Highest;   // the highest logit; not a number where one of them is
    public double LogSum;   // log Σ exp(logit)
}

/// <summary>A row's choice, and log-sum-exp around the highest logit, in one reading of the row: a block or several per row.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ChooseArguments
{
    public ulong Logits;  // float [rows, vocabulary]
    public ulong Rules;   // ChoiceRule [rows]
    public ulong Answers; // RowAnswer [rows]
    public int Vocabulary;
}

/// <summary>What is read, or multiplied, to see what a device does at most.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CeilingArguments
{
    public ulong Data;
    public ulong Folded;
    public long Vectors;
    public int Rounds;
}

[StructLayout(LayoutKind.Sequential)]
internal struct TopKArguments
{
    public ulong Logits;
    public ulong Values;
    public ulong Ids;
    public int Vocabulary;
    public int K;
}
