using System.Diagnostics;
using NativeSpec.Engine;

namespace NativeSpec.Cli.Benchmarks.Load;

/// <summary>What a caller has seen of one request.</summary>
/// <param name="Request">The request.</param>
internal sealed record LoadSample(LoadRequest Request)
{
    /// <summary>How it behaved.</summary>
    public LoadKind Kind => Request.Kind;

    /// <summary>From the call to the first tokens; NaN where there were none.</summary>
    public double FirstMs { get; set; } = double.NaN;

    /// <summary>Times between two pieces with tokens, as this caller saw them.</summary>
    public List<double> GapsMs { get; } = [];

    /// <summary>From the call to the end.</summary>
    public double WholeMs { get; set; }

    /// <summary>The tokens that it was given.</summary>
    public List<int> Ids { get; } = [];

    /// <summary>Whether it went away.</summary>
    public bool Left { get; set; }

    /// <summary>The name of the exception's type, if the request failed.</summary>
    public string? Error { get; set; }

    /// <summary>Whether its text has been compared with the one that was written alone.</summary>
    public bool IsCompared { get; private set; }

    /// <summary>Whether it was another text, or another beginning where the caller went away.</summary>
    public bool Differs { get; private set; }

    /// <summary>Compares what was read with the text that was written alone; nothing where the request failed.</summary>
    public void Compare(IReadOnlyList<int> alone)
    {
        IsCompared = Error is null;
        Differs = IsCompared && !(Left ? alone.Take(Ids.Count) : alone).SequenceEqual(Ids);
    }
}

/// <summary>Makes one request and reads its answer as its kind does.</summary>
internal static class LoadCaller
{
    private static readonly TimeSpan ReadPause = TimeSpan.FromMilliseconds(20);

    /// <summary>Makes a request.</summary>
    /// <param name="engine">Who answers.</param>
    /// <param name="request">What to ask.</param>
    /// <param name="cancellationToken">Ends the measurement.</param>
    public static async Task<LoadSample> RunAsync(InferenceEngine engine, LoadRequest request, CancellationToken cancellationToken)
    {
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var began = Stopwatch.GetTimestamp();
        var sample = new LoadSample(request);
        var leaves = request.Kind == LoadKind.Cancel;
        if (leaves && request.LeavesAfter == 0)
        {
            leaving.CancelAfter(TimeSpan.FromMilliseconds(1));
        }

        try
        {
            var (pieces, last) = (0, began);
            await foreach (var piece in engine.GenerateAsync(request.Prompt, request.Options, leaving.Token).ConfigureAwait(false))
            {
                if (piece.Ids.Count > 0)
                {
                    var now = Stopwatch.GetTimestamp();
                    var elapsed = Stopwatch.GetElapsedTime(last, now).TotalMilliseconds;
                    if (pieces++ == 0)
                    {
                        sample.FirstMs = elapsed;
                    }
                    else
                    {
                        sample.GapsMs.Add(elapsed);
                    }

                    last = now;
                    sample.Ids.AddRange(piece.Ids);
                }

                if (leaves && pieces == request.LeavesAfter)
                {
                    await leaving.CancelAsync().ConfigureAwait(false);
                }

                if (request.Kind == LoadKind.Slow)
                {
                    await Task.Delay(ReadPause, cancellationToken).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException) when (leaving.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            sample.Left = true;
        }
#pragma warning disable CA1031 // Whatever went wrong is what a load is to count.
        catch (Exception error) when (!cancellationToken.IsCancellationRequested)
#pragma warning restore CA1031
        {
            sample.Error = error.GetType().Name;
        }

        sample.WholeMs = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        return sample;
    }
}
