using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine;
using NativeSpec.Extensions.AI;
using NativeSpec.Server.Hosting;

namespace NativeSpec.Server;

/// <summary>A whole server around one model, as <c>nativespec serve</c> runs it. It reads no configuration but what it is given, listens at once, and says 503 while the model is loaded.</summary>
public static class ServerHost
{
    /// <summary>Where it listens unless it is told otherwise: on this machine alone.</summary>
    public const string DefaultUrl = "http://127.0.0.1:8080";

    /// <summary>Makes a server, which begins when it is started.</summary>
    /// <param name="modelPath">The checkpoint's folder.</param>
    /// <param name="engine">How the engine is built.</param>
    /// <param name="urls">Where to listen: <c>http://ADDRESS:PORT</c>. Port 0 takes one that is free.</param>
    /// <param name="configure">What callers may do; null for the defaults.</param>
    /// <param name="logging">Where to log; null for nowhere.</param>
    /// <param name="warmUp">Whether a few short texts are written before the server is ready; null does so where code is compiled while it runs, and not where it was compiled ahead
    /// of time.</param>
    /// <exception cref="ArgumentException">A URL or an option is wrong.</exception>
    public static WebApplication Create(
        string modelPath, EngineOptions engine, IReadOnlyList<string> urls, Action<NativeSpecServerOptions>? configure = null, Action<ILoggingBuilder>? logging = null,
        bool? warmUp = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(modelPath);
        ArgumentNullException.ThrowIfNull(engine);
        ArgumentNullException.ThrowIfNull(urls);
        foreach (var url in urls)
        {
            if (!Uri.TryCreate(url.Replace("*", "any", StringComparison.Ordinal).Replace("+", "any", StringComparison.Ordinal), UriKind.Absolute, out var uri) || uri.Scheme != Uri.UriSchemeHttp)
            {
                throw new ArgumentException($"'{url}' is no place to listen at; expected http://ADDRESS:PORT (encryption is a reverse proxy's part)", nameof(urls));
            }
        }

        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls([.. urls.DefaultIfEmpty(DefaultUrl)]);
        builder.Services.AddRoutingCore();
        builder.Services.AddNativeSpecServer(configure);
        builder.Services.AddNativeSpec(model =>
        {
            model.ModelPath = modelPath;
            model.ModelId = engine.Name;
            model.WarmUp = warmUp ?? RuntimeFeature.IsDynamicCodeCompiled;
            model.ConfigureEngine(made => engine with { Name = made.Name, Logger = engine.Logger ?? made.Logger });
        });
        builder.Services.AddSingleton<IHostLifetime, SignalLifetime>();
        builder.Services.AddLogging(logs => logging?.Invoke(logs));
        var app = builder.Build();
        app.MapNativeSpec();
        return app;
    }
}
