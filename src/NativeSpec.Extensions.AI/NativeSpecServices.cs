using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace NativeSpec.Extensions.AI;

/// <summary>NativeSpec among the services of a host.</summary>
public static class NativeSpecServices
{
    /// <summary>Adds an engine: an <see cref="EngineHost"/> that loads it when the host starts. Its options come from the configuration's section
    /// <see cref="NativeSpecOptions.Section"/>, then from <paramref name="configure"/>, and are checked when the host starts.</summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets options; null leaves them to the configuration.</param>
    public static IServiceCollection AddNativeSpec(this IServiceCollection services, Action<NativeSpecOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddOptions(Options.DefaultName, configure);
        services.TryAddSingleton(provider => Create(provider, Options.DefaultName));
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredService<EngineHost>());
        return services;
    }

    /// <summary>Adds one of several engines: an <see cref="EngineHost"/> with a key. Its options come from the section <c>NativeSpec:KEY</c>.</summary>
    /// <param name="services">The services.</param>
    /// <param name="key">The key.</param>
    /// <param name="configure">Sets options; null leaves them to the configuration.</param>
    public static IServiceCollection AddKeyedNativeSpec(this IServiceCollection services, string key, Action<NativeSpecOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrEmpty(key);
        services.AddOptions(key, configure);
        services.TryAddKeyedSingleton(key, (provider, _) => Create(provider, key));
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredKeyedService<EngineHost>(key)); // several of one type, which AddHostedService would take for the same
        return services;
    }

    /// <summary>Adds a chat client of the engine that <see cref="AddNativeSpec(IServiceCollection, Action{NativeSpecOptions}?)"/> added.</summary>
    /// <param name="services">The services.</param>
    /// <returns>A pipeline, for <c>UseFunctionInvocation()</c> and its like.</returns>
    public static ChatClientBuilder AddNativeSpecChatClient(this IServiceCollection services)
    {
        ArgumentNullException.ThrowIfNull(services);
        return services.AddChatClient(provider => new NativeSpecChatClient(provider.GetRequiredService<EngineHost>()));
    }

    /// <summary>Adds a chat client with the key of an engine that <see cref="AddKeyedNativeSpec"/> added.</summary>
    /// <param name="services">The services.</param>
    /// <param name="key">The key.</param>
    /// <returns>A pipeline.</returns>
    public static ChatClientBuilder AddKeyedNativeSpecChatClient(this IServiceCollection services, string key)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrEmpty(key);
        return services.AddKeyedChatClient(key, provider => new NativeSpecChatClient(provider.GetRequiredKeyedService<EngineHost>(key)));
    }

    /// <summary>Adds the check of an engine.</summary>
    /// <param name="builder">The health checks.</param>
    /// <param name="key">The engine's key; null for the one without.</param>
    /// <param name="name">The check's name; null for <c>nativespec</c>, with the key behind a dash where there is one.</param>
    /// <param name="tags">Its tags; null for <c>ready</c>.</param>
    public static IHealthChecksBuilder AddNativeSpec(this IHealthChecksBuilder builder, string? key = null, string? name = null, IEnumerable<string>? tags = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.Add(new HealthCheckRegistration(
            name ?? (key is null ? "nativespec" : $"nativespec-{key}"),
            provider => new EngineHealthCheck(key is null ? provider.GetRequiredService<EngineHost>() : provider.GetRequiredKeyedService<EngineHost>(key)),
            failureStatus: null,
            tags ?? ["ready"]));
    }

    private static void AddOptions(this IServiceCollection services, string name, Action<NativeSpecOptions>? configure)
    {
        var options = services.AddOptions<NativeSpecOptions>(name).ValidateOnStart();
        options.Configure<IServiceProvider>((value, provider) =>
        {
            if (provider.GetService<IConfiguration>() is { } configuration)
            {
                configuration.GetSection(name.Length == 0 ? NativeSpecOptions.Section : $"{NativeSpecOptions.Section}:{name}").Bind(value); // in code that is generated for it
            }
        });
        if (configure is not null)
        {
            options.Configure(configure);
        }

        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<NativeSpecOptions>, NativeSpecOptionsValidator>());
    }

    private static EngineHost Create(IServiceProvider provider, string name) => new(
        provider.GetRequiredService<IOptionsMonitor<NativeSpecOptions>>().Get(name), provider.GetService<ILogger<EngineHost>>() ?? NullLogger<EngineHost>.Instance, provider.GetService<IHostApplicationLifetime>());
}
