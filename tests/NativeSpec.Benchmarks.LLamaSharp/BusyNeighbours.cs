namespace NativeSpec.Benchmarks.LLamaSharp;

/// <summary>Threads that compute nothing of use, and take the processors from whoever wants them too.</summary>
internal sealed class BusyNeighbours : IDisposable
{
    private readonly Thread[] _threads;
    private volatile bool _end;

    /// <summary>Starts so many.</summary>
    public BusyNeighbours(int count)
    {
        _threads = [.. Enumerable.Range(0, count).Select(_ => new Thread(Spin) { IsBackground = true })];
        Array.ForEach(_threads, thread => thread.Start());
    }

    public void Dispose()
    {
        _end = true;
        Array.ForEach(_threads, thread => thread.Join());
    }

    private void Spin()
    {
        while (!_end)
        {
        }
    }
}
