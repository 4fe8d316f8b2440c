namespace NativeSpec.Training.Compute;

/// <summary>The three products of a layer y = x Wᵀ, on all threads: x is [rows, in], W [out, in], y [rows, out].</summary>
/// <remarks>Threads share the rows of the result. The gradients need neither operand turned: that of the input reads W by rows, that of the
/// weight reads dy by columns. Only y itself takes Wᵀ, in panels, which is small beside the product.</remarks>
internal static unsafe class MatrixProducts
{
    private const int MostRows = 120; // of a range: few enough that threads end together, many enough that each strip of B serves them all
    private const int TileRows = 6; // of the native kernel's tiles: ranges are multiples of it

    /// <summary>y = x wᵀ, or y = addend + x wᵀ.</summary>
    /// <param name="bench">Computes.</param>
    /// <param name="x">[rows, in]</param>
    /// <param name="w">[out, in]</param>
    /// <param name="y">[rows, out]</param>
    /// <param name="rows">Of x and y.</param>
    /// <param name="addend">[rows, out]</param>
    /// <param name="then">Called for ranges [begin, end) of rows once they are done, by the thread that did them: they are in its cache.</param>
    public static void Multiply(this Workbench bench, Matrix x, Matrix w, Matrix y, int rows, Matrix? addend = null, Action<int, int>? then = null)
    {
        var product = new Product(rows, w.Rows, w.Columns, All(x), Panels(bench, w), All(y), accumulate: addend is not null);
        bench.Run(product, addend is null ? null : (begin, end) => addend.RowRange(begin, end - begin).CopyTo(y.RowRange(begin, end - begin)), then);
    }

    /// <summary>dx = dy w, or dx += dy w; then as for <see cref="Multiply"/>.</summary>
    public static void MultiplyBack(
        this Workbench bench, Matrix dy, Matrix w, Matrix dx, int rows, bool accumulate = false, Action<int, int>? then = null)
        => bench.Run(new Product(rows, w.Columns, w.Rows, All(dy), All(w), All(dx), accumulate: accumulate), null, then);

    /// <summary>dw += dyᵀ x.</summary>
    public static void AddOuter(this Workbench bench, Matrix dy, Matrix x, Matrix dw, int rows)
        => bench.Run(new Product(dy.Columns, x.Columns, rows, All(dy), All(x), All(dw), turned: true, accumulate: true), null, null);

    private static Block All(Matrix matrix) => new(matrix.Pointer, matrix.Columns);

    private static void Run(this Workbench bench, Product product, Action<int, int>? before, Action<int, int>? then)
    {
        // As many ranges for each thread, of nearly the same size.
        var ranges = bench.Threads * DivideUp(product.Rows, bench.Threads * MostRows);
        var tiles = DivideUp(DivideUp(product.Rows, ranges), TileRows);
        bench.ForRanges(
            DivideUp(product.Rows, TileRows),
            tiles,
            (begin, end) =>
            {
                var (first, last) = (begin * TileRows, Math.Min(end * TileRows, product.Rows));
                before?.Invoke(first, last);
                bench.Compute(product.RowRange(first, last - first));
                then?.Invoke(first, last);
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
