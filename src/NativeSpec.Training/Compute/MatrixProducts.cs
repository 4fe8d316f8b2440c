namespace NativeSpec.Training.Compute;

/// <summary>The three products of a layer y = x Wᵀ, on all threads: x is [rows, in], W [out, in], y [rows, out].</summary>
/// <remarks>Threads share the rows of the result. The gradients need neither operand turned: that of the input reads W by rows, that of the
/// weight reads dy by columns. Only y itself takes Wᵀ, in panels, which is small beside the product.</remarks>
internal static unsafe class MatrixProducts
{
    private const int MostRows = 120; // of a range: few enough that threads end together, many enough that each strip of B serves them all
    private const int TileRows = 6; // of the native kernel's tiles: ranges are multiples of it

    /// <summary>y = x wᵀ, or y += x wᵀ.</summary>
    public static void Multiply(this Workbench bench, Matrix x, Matrix w, Matrix y, int rows, bool accumulate = false)
        => bench.Run(new Product(rows, w.Rows, w.Columns, All(x), Panels(bench, w), All(y), accumulate: accumulate));

    /// <summary>dx = dy w, or dx += dy w.</summary>
    public static void MultiplyBack(this Workbench bench, Matrix dy, Matrix w, Matrix dx, int rows, bool accumulate = false)
        => bench.Run(new Product(rows, w.Columns, w.Rows, All(dy), All(w), All(dx), accumulate: accumulate));

    /// <summary>dw += dyᵀ x.</summary>
    public static void AddOuter(this Workbench bench, Matrix dy, Matrix x, Matrix dw, int rows)
        => bench.Run(new Product(dy.Columns, x.Columns, rows, All(dy), All(x), All(dw), turned: true, accumulate: true));

    private static Block All(Matrix matrix) => new(matrix.Pointer, matrix.Columns);

    private static void Run(this Workbench bench, Product product)
    {
        // As many ranges for each thread, of nearly the same size.
        var ranges = bench.Threads * DivideUp(product.Rows, bench.Threads * MostRows);
        var tiles = DivideUp(DivideUp(product.Rows, ranges), TileRows);
        bench.ForRanges(
            DivideUp(product.Rows, TileRows),
            tiles,
            (begin, end) =>
            {
                var first = begin * TileRows;
                bench.Compute(product.RowRange(first, Math.Min(end * TileRows, product.Rows) - first));
            });
        bench.Count(product.Operations);
    }

    /// <summary>wᵀ in panels: [panels][in][<see cref="Product.Panel"/>].</summary>
    private static Block Panels(Workbench bench, Matrix w)
    {
        var panels = bench.Scratch("weight, turned", DivideUp(w.Rows, Product.Panel), w.Columns * Product.Panel);
        bench.ForRanges(panels.Rows, (begin, end) =>
        {
            for (var panel = begin; panel < end; panel++)
            {
                var first = panel * Product.Panel;
                var from = w.Pointer + ((nint)first * w.Columns);
                var to = panels.Pointer + ((nint)panel * panels.Columns);
                Transposition.Turn(from, w.Columns, Math.Min(Product.Panel, w.Rows - first), w.Columns, to, Product.Panel);
            }
        });
        return new Block(panels.Pointer, Product.Panel, panels.Columns);
    }

    private static int DivideUp(int a, int b) => (a + b - 1) / b;
}
