using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using NativeSpec.Engine;
using NativeSpec.Server.Access;
using NativeSpec.Server.Endpoints;
using NativeSpec.Server.Errors;
using NativeSpec.Server.Hosting;
using NativeSpec.Server.Metrics;

namespace NativeSpec.Server;

/// <summary>Serves an engine over HTTP, as clients of OpenAI's protocol expect it.</summary>
/// <example><code>
/// var builder = WebApplication.CreateSlimBuilder(args);
/// builder.Services.AddNativeSpec(options => options.ModelPath = "path/to/model");
/// builder.Services.AddNativeSpecServer(options => options.ApiKeys.Add(builder.Configuration["ApiKey"] ?? throw new InvalidOperationException("there is no ApiKey")));
/// var app = builder.Build();
/// app.MapNativeSpec();
/// app.Run();
/// </code></example>
public static class NativeSpecServer
{
    /// <summary>What a host needs beyond the drain, to tell those who took longer and to end.</summary>
    private static readonly TimeSpan ToEnd = TimeSpan.FromSeconds(5);

    /// <summary>Adds what <see cref="MapNativeSpec"/> needs beside the engine.</summary>
    /// <param name="services">The services, with those of the engine.</param>
    /// <param name="configure">What callers may do; null for the defaults.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public static IServiceCollection AddNativeSpecServer(this IServiceCollection services, Action<NativeSpecServerOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        var options = new NativeSpecServerOptions();
        configure?.Invoke(options);
        options.Validate();
        return services.AddSingleton(options)
            .PostConfigure<HostOptions>(host => host.ShutdownTimeout = host.ShutdownTimeout == Timeout.InfiniteTimeSpan || host.ShutdownTimeout > options.DrainTimeout + ToEnd ? host.ShutdownTimeout : options.DrainTimeout + ToEnd)
            .AddSingleton<ServerMeter>().AddSingleton<MetricsCollector>().AddSingleton<RequestGate>().AddSingleton<ServedModel>()
            .AddSingleton<ModelsEndpoint>().AddSingleton<ChatEndpoint>().AddSingleton<CompletionsEndpoint>().AddSingleton<ResponsesEndpoint>().AddSingleton<TokensEndpoint>().AddSingleton<HealthEndpoint>().AddHostedService<DrainService>();
    }

    /// <summary>Maps the endpoints: <c>/v1/models</c>, <c>/v1/chat/completions</c>, <c>/health</c>, <c>/metrics</c> and what docs/server.md lists besides.</summary>
    /// <param name="endpoints">The application.</param>
    /// <returns>All of them, to add conventions to.</returns>
    public static IEndpointConventionBuilder MapNativeSpec(this IEndpointRouteBuilder endpoints)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var group = endpoints.MapGroup("");
        var services = endpoints.ServiceProvider;
        var gate = services.GetRequiredService<RequestGate>();
        var metrics = services.GetRequiredService<MetricsCollector>(); // listens from now on
        var health = services.GetRequiredService<HealthEndpoint>();
        var models = services.GetRequiredService<ModelsEndpoint>();

        Get("/v1/models", models.ListAsync);
        Get("/v1/models/{*id}", models.OneAsync);
        Post("/v1/chat/completions", services.GetRequiredService<ChatEndpoint>().AnswerAsync);
        Post("/v1/completions", services.GetRequiredService<CompletionsEndpoint>().AnswerAsync);
        Post("/v1/responses", services.GetRequiredService<ResponsesEndpoint>().AnswerAsync);
        var tokens = services.GetRequiredService<TokensEndpoint>();
        Post("/tokenize", tokens.TokenizeAsync);
        Post("/detokenize", tokens.DetokenizeAsync);
        group.MapGet("/health/live", HealthEndpoint.LiveAsync);
        group.MapGet("/health/ready", health.ReadyAsync);
        group.MapGet("/health", health.ReadyAsync);
        group.MapGet("/metrics", context => gate.OpenAsync(context, open =>
        {
            open.Response.ContentType = PrometheusText.ContentType;
            return open.Response.WriteAsync(metrics.Write(), open.RequestAborted);
        }));
        group.MapFallback("/v1/{**path}", context => gate.RunAsync(context, "other", NotFound));
        return group;

        void Get(string path, Func<HttpContext, InferenceEngine, Task<int>> answer) => group.MapGet(path, context => gate.RunAsync(context, path, answer));

        void Post(string path, Func<HttpContext, InferenceEngine, Task<int>> answer) => group.MapPost(path, context => gate.RunAsync(context, path, answer));
    }

    private static Task<int> NotFound(HttpContext context, InferenceEngine engine)
        => throw ApiException.NotFound(null, "not_found", $"there is no {context.Request.Method} {(context.Request.Path.Value is { Length: <= 200 } path ? path : "/v1/…")}; docs/server.md lists what there is");
}
