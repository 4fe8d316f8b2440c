using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine;
using NativeSpec.Server.Answers;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Endpoints;

/// <summary>Reads the texts of a request, at once, and hands them on whole or as they come.</summary>
internal static partial class Answering
{
    /// <summary>Waits for whole texts.</summary>
    public static async Task<GenerationResult[]> WholeAsync(IReadOnlyList<IAsyncEnumerable<GenerationPiece>> texts, CancellationToken cancellationToken)
    {
        var results = new GenerationResult[texts.Count];
        await foreach (var (choice, piece) in ReadAsync(texts, cancellationToken).ConfigureAwait(false))
        {
            results[choice] = piece.Result ?? results[choice];
        }

        return results;
    }

    /// <summary>Streams texts. What fails before there is a first piece is thrown, so that it is answered by its status; what fails later is an event.</summary>
    /// <returns>The status that the request counts as.</returns>
    public static async Task<int> StreamAsync(HttpContext context, IReadOnlyList<IAsyncEnumerable<GenerationPiece>> texts, IStreamFormat format, ILogger logger)
    {
        var cancellationToken = context.RequestAborted;
        await using var pieces = ReadAsync(texts, cancellationToken).GetAsyncEnumerator(cancellationToken);
        var more = await pieces.MoveNextAsync().ConfigureAwait(false);
        using var events = new EventStream(context.Response);
        var status = StatusCodes.Status200OK;
        try
        {
            format.Begin(events);
            while (more)
            {
                format.Piece(events, pieces.Current.Choice, pieces.Current.Piece);
                var next = pieces.MoveNextAsync();
                try
                {
                    if (!next.IsCompleted)
                    {
                        await events.FlushAsync(cancellationToken).ConfigureAwait(false); // there is nothing more to send along
                    }
                }
                finally
                {
                    more = await next.ConfigureAwait(false); // an enumerator may not be left while it moves
                }
            }

            format.End(events);
        }
#pragma warning disable CA1031 // Whatever it was, the client is told that the text is not whole.
        catch (Exception error) when (!cancellationToken.IsCancellationRequested)
#pragma warning restore CA1031
        {
            var failure = ErrorMapping.Of(error);
            status = failure.Status;
            LogBrokenOff(logger, error);
            format.Fail(events, failure);
        }

        await events.FlushAsync(cancellationToken).ConfigureAwait(false);
        return status;
    }

    private static IAsyncEnumerable<(int Choice, GenerationPiece Piece)> ReadAsync(IReadOnlyList<IAsyncEnumerable<GenerationPiece>> texts, CancellationToken cancellationToken)
        => texts.Count == 1 ? OneAsync(texts[0], cancellationToken) : AllAsync(texts, cancellationToken);

    private static async IAsyncEnumerable<(int Choice, GenerationPiece Piece)> OneAsync(IAsyncEnumerable<GenerationPiece> text, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var piece in text.WithCancellation(cancellationToken).ConfigureAwait(false))
        {
            yield return (0, piece);
        }
    }

    // One that fails ends the others. The channel holds a piece a text, so that a slow reader is waited for as with one text.
    private static async IAsyncEnumerable<(int Choice, GenerationPiece Piece)> AllAsync(
        IReadOnlyList<IAsyncEnumerable<GenerationPiece>> texts, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var channel = Channel.CreateBounded<(int, GenerationPiece)>(texts.Count);
        var reading = Task.WhenAll(texts.Select((text, choice) => ReadOneAsync(text, choice)));
        var completing = reading.ContinueWith(done => channel.Writer.TryComplete(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        try
        {
            await foreach (var piece in channel.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                yield return piece;
            }

            await reading.ConfigureAwait(false); // throws what the first of them threw
        }
        finally
        {
            await stop.CancelAsync().ConfigureAwait(false);
            await completing.ConfigureAwait(false); // nobody reads on behind this request's back
        }

        async Task ReadOneAsync(IAsyncEnumerable<GenerationPiece> text, int choice)
        {
            try
            {
                await foreach (var piece in text.WithCancellation(stop.Token).ConfigureAwait(false))
                {
                    await channel.Writer.WriteAsync((choice, piece), stop.Token).ConfigureAwait(false);
                }
            }
            catch (Exception error)
            {
                channel.Writer.TryComplete(error);
                await stop.CancelAsync().ConfigureAwait(false);
                throw;
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "a stream was broken off")]
    private static partial void LogBrokenOff(ILogger logger, Exception error);
}
