using Microsoft.AspNetCore.Http;
using NativeSpec.Extensions.AI;
using NativeSpec.Server.Answers;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Endpoints;

/// <summary><c>/health/live</c>: the process answers. <c>/health/ready</c>, and <c>/health</c> as llama.cpp names it: it takes requests.</summary>
internal sealed class HealthEndpoint(EngineHost host, NativeSpecServerOptions options)
{
    public static Task LiveAsync(HttpContext context) => JsonAnswer.WriteAsync(context.Response, new Health("ok"), ServerJson.Default.Health);

    public Task ReadyAsync(HttpContext context) => WhyNot() is { } reason
        ? JsonAnswer.WriteAsync(context.Response, reason, options.RetryAfter)
        : JsonAnswer.WriteAsync(context.Response, new Health("ok"), ServerJson.Default.Health);

    private ApiException? WhyNot() => host.State switch
    {
        not EngineHostState.Ready => ErrorMapping.OfState(host.State),
        _ => host.Engine!.Snapshot() switch
        {
            { IsFaulted: true } => ApiException.Unavailable("engine_faulted", "the engine has failed"),
            { Active: > 0 } snapshot when snapshot.SinceLastRound > host.Options.StuckAfter => ApiException.Unavailable("engine_stuck", $"the engine has computed nothing for {snapshot.SinceLastRound.TotalSeconds:0} s"),
            _ => null,
        },
    };
}
