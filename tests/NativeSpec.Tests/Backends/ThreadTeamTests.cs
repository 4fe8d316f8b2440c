using NativeSpec.Backends.Cpu;

namespace NativeSpec.Tests.Backends;

public sealed unsafe class ThreadTeamTests
{
    [Test]
    public void Run_ManyShortOperations_CoversEveryItemOnceEach([Values(1, 2, 5)] int threads)
    {
        using var team = new ThreadTeam(threads);
        var counts = stackalloc int[64];
        for (var run = 0; run < 20_000; run++)
        {
            team.Run(&CountItems, counts, 1 + (run % 64), 1 + (run % 3));
        }

        for (var item = 0; item < 64; item++)
        {
            var expected = Enumerable.Range(0, 20_000).Count(run => 1 + (run % 64) > item);
            Assert.That(counts[item], Is.EqualTo(expected), $"item {item}");
        }
    }

    /// <summary>Between two requests nobody burns a processor: with nothing to do, every thread goes to sleep.</summary>
    [Test, CancelAfter(60_000)]
    public void Run_IsOver_ThreadsGoToSleep(CancellationToken tooLong)
    {
        using var team = new ThreadTeam(3);
        var counts = stackalloc int[64];
        for (var run = 0; run < 3; run++)
        {
            team.Run(&CountItems, counts, 64, 1);
            while (team.Sleeping < 2)
            {
                tooLong.ThrowIfCancellationRequested();
                Thread.Sleep(1);
            }
        }
    }

    [Test]
    public void Run_AfterThreadsHaveParked_WakesThem()
    {
        using var team = new ThreadTeam(3);
        var counts = stackalloc int[64];
        for (var run = 0; run < 20; run++)
        {
            Thread.Sleep(5); // longer than they spin
            team.Run(&CountItems, counts, 64, 1);
        }

        for (var item = 0; item < 64; item++)
        {
            Assert.That(counts[item], Is.EqualTo(20));
        }
    }

    [Test]
    public void Run_WithNothingToDo_Returns()
    {
        using var team = new ThreadTeam(2);
        var counts = stackalloc int[1];
        team.Run(&CountItems, counts, 0, 1);
        Assert.That(counts[0], Is.Zero);
    }

    [Test]
    public void Dispose_Twice_IsHarmless()
    {
        var team = new ThreadTeam(3);
        team.Dispose();
        Assert.DoesNotThrow(team.Dispose);
    }

    private static void CountItems(void* counts, int begin, int end)
    {
        for (var item = begin; item < end; item++)
        {
            Interlocked.Increment(ref ((int*)counts)[item]);
        }
    }
}
