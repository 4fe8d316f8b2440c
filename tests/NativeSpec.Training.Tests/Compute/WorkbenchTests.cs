using NativeSpec.Training.Compute;

namespace NativeSpec.Training.Tests.Compute;

/// <summary>What all layers stand on.</summary>
public sealed class WorkbenchTests
{
    [Test]
    public void ForRanges_AnyNumberOfThreads_VisitsEveryItemOnce([Values(1, 2, 3)] int threads, [Values(0, 1, 7, 1000)] int items)
    {
        using var bench = new Workbench(threads);
        var visits = new int[items];

        bench.ForRanges(items, (begin, end) =>
        {
            for (var i = begin; i < end; i++)
            {
                Interlocked.Increment(ref visits[i]);
            }
        });

        Assert.That(visits, Is.All.EqualTo(1));
    }

    [Test]
    public void ForRanges_WorkThatFails_ThrowsItsExceptionToTheCaller([Values(0, 99)] int failing)
    {
        using var bench = new Workbench(threads: 2);

        void Work(int begin, int end)
        {
            if (begin <= failing && failing < end)
            {
                throw new NotSupportedException("item");
            }
        }

        Assert.That(() => bench.ForRanges(100, Work), Throws.InstanceOf<NotSupportedException>());
    }

    [Test]
    public void Borrow_MemoryThatWasUsed_IsZeroAgain()
    {
        using var bench = new Workbench(threads: 1);
        using (var first = bench.Borrow(100))
        {
            Memory(first).Fill(1);
        }

        using var second = bench.Borrow(100);

        Assert.That(Memory(second).ToArray(), Is.All.Zero);
    }

    private static unsafe Span<float> Memory(Workbench.Loan loan) => new(loan.Pointer, 100);
}
