namespace NativeSpec.Training.Compute;

/// <summary>Rows of numbers somewhere in a larger matrix.</summary>
/// <param name="first">The first number.</param>
/// <param name="stride">From a row to the next.</param>
/// <param name="panel">From a panel of <see cref="Product.Panel"/> columns to the next: less than the stride where they lie side by side, as in
/// any matrix; otherwise the panels lie one behind the other.</param>
internal readonly unsafe struct Block(float* first, int stride, int panel = Product.Panel)
{
    /// <summary>The first number.</summary>
    public float* First => first;

    /// <summary>From a row to the next.</summary>
    public int Stride => stride;

    /// <summary>From a panel of columns to the next.</summary>
    public int Panel => panel;

    /// <summary>The block that begins at another row and column, at most a panel's.</summary>
    public Block At(int row, int column) => new(first + ((nint)row * stride) + column, stride, panel);
}

/// <summary>C = A B, or C += A B: A is [rows, depth], B [depth, columns], C [rows, columns].</summary>
/// <remarks>Sums run along the depth from its beginning, in stretches of fixed length: how C is cut into blocks changes no bit.</remarks>
/// <param name="rows">Of A and C.</param>
/// <param name="columns">Of B and C.</param>
/// <param name="depth">Columns of A, rows of B.</param>
/// <param name="a">A; or what A is when turned, [depth, rows].</param>
/// <param name="b">B, the only one that may lie in panels.</param>
/// <param name="c">C.</param>
/// <param name="turned">Whether A is given turned.</param>
/// <param name="accumulate">Whether C is added to.</param>
internal readonly struct Product(int rows, int columns, int depth, Block a, Block b, Block c, bool turned = false, bool accumulate = false)
{
    /// <summary>Columns of B that lie side by side in a panel.</summary>
    public const int Panel = 64;

    public int Rows => rows;

    public int Columns => columns;

    public int Depth => depth;

    public Block A => a;

    public Block B => b;

    public Block C => c;

    public bool Turned => turned;

    public bool Accumulate => accumulate;

    /// <summary>Multiplications and additions.</summary>
    public double Operations => 2.0 * rows * columns * depth;

    /// <summary>The same for some of the rows.</summary>
    public Product RowRange(int first, int count)
        => new(count, columns, depth, turned ? a.At(0, first) : a.At(first, 0), b, c.At(first, 0), turned, accumulate);
}
