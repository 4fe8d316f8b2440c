using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine;
using NativeSpec.Extensions.AI;
using NativeSpec.Server.Answers;
using NativeSpec.Server.Errors;
using NativeSpec.Server.Metrics;

namespace NativeSpec.Server.Access;

/// <summary>What stands before every endpoint that uses the engine: the key, a limit on requests at once for each caller, an engine that is there; and behind
/// it, what is thrown becomes an answer and each request is counted once.</summary>
internal sealed partial class RequestGate : IDisposable
{
    /// <summary>What a request is counted as whose client has gone, or has broken off what it sent.</summary>
    public const int ClientGone = 499;

    private readonly EngineHost _host;
    private readonly NativeSpecServerOptions _options;
    private readonly ServerMeter _meter;
    private readonly ILogger<RequestGate> _logger;
    private readonly ApiKeys _keys;
    private readonly PartitionedRateLimiter<string> _clients;

    public RequestGate(EngineHost host, NativeSpecServerOptions options, ServerMeter meter, ILogger<RequestGate> logger)
    {
        (_host, _options, _meter, _logger) = (host, options, meter, logger);
        _keys = new ApiKeys(options.ApiKeys);
        var limit = new ConcurrencyLimiterOptions { PermitLimit = options.MaxRequestsPerClient, QueueLimit = 0 };
        _clients = PartitionedRateLimiter.Create<string, string>(caller => RateLimitPartition.GetConcurrencyLimiter(caller, _ => limit));
    }

    /// <summary>Answers a request.</summary>
    /// <param name="context">The request.</param>
    /// <param name="endpoint">What it is counted under.</param>
    /// <param name="answer">Answers it with the engine, and says by which status.</param>
    public async Task RunAsync(HttpContext context, string endpoint, Func<HttpContext, InferenceEngine, Task<int>> answer)
    {
        using var counted = _meter.Begin(endpoint);
        try
        {
            using var permit = _clients.AttemptAcquire(_keys.Caller(context));
            if (!permit.IsAcquired)
            {
                throw ApiException.Busy("too_many_requests", $"a caller may have {_options.MaxRequestsPerClient} requests at once: wait for one to end");
            }

            using var lease = _host.Enter();
            counted.Status = await answer(context, lease.Engine).ConfigureAwait(false);
        }
        catch (Exception error) when (context.RequestAborted.IsCancellationRequested || error is IOException)
        {
            // A body that breaks off may be noticed before the connection is.
            counted.Status = ClientGone;
            context.Abort();
            LogGone(_logger, endpoint, error.Message);
        }
#pragma warning disable CA1031 // Whatever it was, the caller gets an answer that says so.
        catch (Exception error)
#pragma warning restore CA1031
        {
            counted.Status = await RefuseAsync(context, error).ConfigureAwait(false);
        }
    }

    /// <summary>Answers a request that needs no engine and is not counted.</summary>
    public async Task OpenAsync(HttpContext context, Func<HttpContext, Task> answer)
    {
        try
        {
            _keys.RefusePages(context);
        }
        catch (ApiException error)
        {
            await RefuseAsync(context, error).ConfigureAwait(false);
            return;
        }

        await answer(context).ConfigureAwait(false);
    }

    public void Dispose() => _clients.Dispose();

    /// <summary>Answers with an error; one that comes in the middle of an answer can only break it off.</summary>
    /// <returns>The status.</returns>
    private async Task<int> RefuseAsync(HttpContext context, Exception error)
    {
        var refusal = ErrorMapping.Of(error);
        if (refusal.Status >= StatusCodes.Status500InternalServerError && refusal.InnerException is not null)
        {
            LogFailed(_logger, error);
        }

        if (context.Response.HasStarted)
        {
            context.Abort();
            return refusal.Status;
        }

        try
        {
            context.Response.Clear();
            await JsonAnswer.WriteAsync(context.Response, refusal, _options.RetryAfter).ConfigureAwait(false);
            return refusal.Status;
        }
        catch (Exception broken) when (broken is IOException or OperationCanceledException)
        {
            return ClientGone;
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "a request has failed")]
    private static partial void LogFailed(ILogger logger, Exception error);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Endpoint}: the client has gone: {Reason}")]
    private static partial void LogGone(ILogger logger, string endpoint, string reason);
}
