using NativeSpec.Training.Compute;

namespace NativeSpec.Training.Tests.Compute;

/// <summary>The products of a layer against loops in float64, with the native kernel and without.</summary>
[TestFixture(false)]
[TestFixture(true)]
public sealed class MatrixProductsTests(bool managed)
{
    // [rows, inputs, outputs]: below, at and above tiles, vectors, panels, stretches of a sum and ranges of rows.
    private static readonly object[] Shapes = [new[] { 1, 1, 1 }, new[] { 7, 33, 65 }, new[] { 64, 64, 64 }, new[] { 250, 300, 17 }, new[] { 130, 40, 257 }];

    private readonly Workbench _bench = new(threads: 2, managed);

    [OneTimeTearDown]
    public void Dispose() => _bench.Dispose();

    [TestCaseSource(nameof(Shapes))]
    public void Multiply_AnyShape_IsXTimesWTurned(int rows, int inputs, int outputs)
    {
        Matrix x = Random(rows, inputs, 1), w = Random(outputs, inputs, 2), y = Random(rows, outputs, 3);
        _bench.Multiply(x, w, y, rows);
        AssertClose(y, (i, j) => Sum(inputs, k => x.Row(i)[k] * (double)w.Row(j)[k]));
    }

    [TestCaseSource(nameof(Shapes))]
    public void MultiplyBack_AnyShape_IsDyTimesW(int rows, int inputs, int outputs)
    {
        Matrix dy = Random(rows, outputs, 4), w = Random(outputs, inputs, 5), dx = Random(rows, inputs, 6);
        _bench.MultiplyBack(dy, w, dx, rows);
        AssertClose(dx, (i, j) => Sum(outputs, k => dy.Row(i)[k] * (double)w.Row(k)[j]));
    }

    [TestCaseSource(nameof(Shapes))]
    public void AddOuter_AnyShape_AddsDyTurnedTimesX(int rows, int inputs, int outputs)
    {
        Matrix dy = Random(rows, outputs, 7), x = Random(rows, inputs, 8), dw = Random(outputs, inputs, 9);
        var before = dw.All.ToArray();
        _bench.AddOuter(dy, x, dw, rows);
        AssertClose(dw, (i, j) => before[(i * inputs) + j] + Sum(rows, k => dy.Row(k)[i] * (double)x.Row(k)[j]));
    }

    [Test]
    public void Multiply_AnyNumberOfThreads_GivesTheSameBits()
    {
        Matrix x = Random(301, 300, 10), w = Random(70, 300, 11), one = new(301, 70), three = new(301, 70);
        using Workbench alone = new(threads: 1, managed), team = new(threads: 3, managed);
        alone.Multiply(x, w, one, 301);
        team.Multiply(x, w, three, 301);
        Assert.That(three.All.SequenceEqual(one.All), Is.True);
    }

    [Test]
    public void Multiply_WithAnAddendAndSomethingAfterwards_AddsAndCallsItForEveryRowOnce()
    {
        Matrix x = Random(130, 20, 14), w = Random(9, 20, 15), addend = Random(130, 9, 16), y = Random(130, 9, 17);
        _bench.Multiply(x, w, y, 130, addend, (begin, end) =>
        {
            foreach (ref var value in y.RowRange(begin, end - begin))
            {
                value += 1;
            }
        });
        AssertClose(y, (i, j) => addend.Row(i)[j] + 1 + Sum(20, k => x.Row(i)[k] * (double)w.Row(j)[k]));
    }

    [Test]
    public void Products_Count_TwoOperationsForEachTermOfASum()
    {
        using var bench = new Workbench(threads: 1, managed);
        Matrix x = Random(3, 5, 12), w = Random(7, 5, 13), y = new(3, 7);
        bench.Multiply(x, w, y, 3);
        bench.MultiplyBack(y, w, x, 3);
        Assert.That(bench.Operations, Is.EqualTo(2 * (2 * 3 * 5 * 7)));
    }

    private static double Sum(int count, Func<int, double> term) => Enumerable.Range(0, count).Sum(term);

    private static void AssertClose(Matrix actual, Func<int, int, double> expected)
    {
        for (var i = 0; i < actual.Rows; i++)
        {
            for (var j = 0; j < actual.Columns; j++)
            {
                Assert.That(actual.Row(i)[j], Is.EqualTo(expected(i, j)).Within(1e-4), $"[{i}, {j}]");
            }
        }
    }

    private static Matrix Random(int rows, int columns, int seed) => GradientCheck.Random(rows, columns, seed);
}
