using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using NativeSpec.Engine;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Extensions.AI.Tests;

/// <summary>An engine from a host's start to its stop.</summary>
public sealed class EngineHostTests
{
    private TestFolder _folder = null!;

    [OneTimeSetUp]
    public void Make() => _folder = new TestFolder();

    [OneTimeTearDown]
    public void Remove() => _folder.Dispose();

    [Test]
    public async Task AddNativeSpec_BindsTheConfiguration_LoadsInTheBackground_AndServes()
    {
        using var host = Build(services => services.AddNativeSpec().AddNativeSpecChatClient(), new() { ["NativeSpec:ModelPath"] = _folder.Path, ["NativeSpec:MaxSequences"] = "3", ["NativeSpec:SlowReaderTimeout"] = "00:00:05" });
        await host.StartAsync();
        var engineHost = host.Services.GetRequiredService<EngineHost>();

        var response = await host.Services.GetRequiredService<IChatClient>().GetResponseAsync("hi", new() { MaxOutputTokens = 3, Temperature = 0 });

        Assert.That(engineHost.State, Is.EqualTo(EngineHostState.Ready));
        Assert.That(engineHost.Options.MaxSequences, Is.EqualTo(3));
        Assert.That(engineHost.Options.SlowReaderTimeout, Is.EqualTo(TimeSpan.FromSeconds(5)));
        Assert.That(response.Usage?.OutputTokenCount, Is.EqualTo(3));
        Assert.That(response.ModelId, Is.EqualTo(Path.GetFileName(_folder.Path)));
        await host.StopAsync();
        Assert.That(() => engineHost.Engine!.GenerateAsync("x"), Throws.TypeOf<ObjectDisposedException>(), "the host frees the engine");
    }

    [TestCase("", "NativeSpec:ModelPath is empty")]
    [TestCase("/no/such/model", "NativeSpec:ModelPath is '/no/such/model', which is not there")]
    public void Start_WithAWrongPath_IsRefusedWithTheOption(string path, string reason)
    {
        using var host = Build(services => services.AddNativeSpec(), new() { ["NativeSpec:ModelPath"] = path });

        Assert.That(() => host.StartAsync(), Throws.TypeOf<OptionsValidationException>().With.Message.Contains(reason));
    }

    [TestCase("MaxSequences", "0", "MaxSequences is 0; expected 1 to 1024")]
    [TestCase("DraftModels:0", "/no/draft", "DraftModels is '/no/draft'")]
    [TestCase("Medusa", "/no/heads", "Medusa is '/no/heads'")]
    [TestCase("StuckAfter", "00:00:00", "StuckAfter")]
    public void Start_WithAValueOutOfItsRange_IsRefusedWithTheOption(string member, string value, string reason)
    {
        using var host = Build(services => services.AddNativeSpec(), new() { ["NativeSpec:ModelPath"] = _folder.Path, [$"NativeSpec:{member}"] = value });

        Assert.That(() => host.StartAsync(), Throws.TypeOf<OptionsValidationException>().With.Message.Contains(reason));
    }

    [Test]
    public async Task AddKeyedNativeSpec_GivesEachKeyItsEngine()
    {
        using var second = new TestFolder(seed: 12);
        using var host = Build(
            services =>
            {
                services.AddKeyedNativeSpec("one").AddKeyedNativeSpecChatClient("one");
                services.AddKeyedNativeSpec("two", options => options.ModelId = "other").AddKeyedNativeSpecChatClient("two");
            },
            new() { ["NativeSpec:one:ModelPath"] = _folder.Path, ["NativeSpec:two:ModelPath"] = second.Path });
        await host.StartAsync();

        var answers = await Task.WhenAll(new[] { "one", "two" }.Select(key => host.Services.GetRequiredKeyedService<IChatClient>(key).GetResponseAsync("hi", new() { MaxOutputTokens = 8, Temperature = 0 })));

        Assert.That(answers[1].ModelId, Is.EqualTo("other"));
        Assert.That(answers[0].Text, Is.Not.EqualTo(answers[1].Text), "other weights");
        Assert.That(host.Services.GetServices<IHostedService>().OfType<EngineHost>().Distinct().Count(), Is.EqualTo(2), "both are started");
        await host.StopAsync();
    }

    [Test]
    public async Task HealthChecks_FollowTheEngine()
    {
        var gate = new TaskCompletionSource();
        using var host = Build(
            services =>
            {
                services.AddNativeSpec(options => options.ConfigureEngine(engine =>
                {
                    gate.Task.Wait();
                    return engine;
                }));
                services.AddHealthChecks().AddNativeSpec();
            },
            new() { ["NativeSpec:ModelPath"] = _folder.Path });
        var health = host.Services.GetRequiredService<HealthCheckService>();
        var engineHost = host.Services.GetRequiredService<EngineHost>();
        var starting = engineHost.StartAsync(CancellationToken.None);

        Assert.That(starting.IsCompleted, Is.True, "loading does not hold up the host");
        Assert.That(await Describe(health), Does.StartWith("Unhealthy").And.Contain("being loaded"));
        Assert.That(engineHost.Enter, Throws.TypeOf<EngineUnavailableException>().With.Property("State").EqualTo(EngineHostState.Loading));

        gate.SetResult();
        await engineHost.LoadedAsync();
        Assert.That(await Describe(health), Does.StartWith("Healthy"));

        engineHost.Drain();
        Assert.That(await Describe(health), Does.StartWith("Unhealthy").And.Contain("no more requests"));
        Assert.That(engineHost.Enter, Throws.TypeOf<EngineUnavailableException>().With.Property("State").EqualTo(EngineHostState.Draining));
        await engineHost.StopAsync(CancellationToken.None);
    }

    [Test]
    public async Task AModelThatCannotBeLoaded_IsSaidByTheCheckAndToEachRequest()
    {
        using var broken = new TestFolder();
        await File.WriteAllTextAsync(Path.Combine(broken.Path, "config.json"), "{}");
        using var host = Build(
            services =>
            {
                services.AddNativeSpec().AddNativeSpecChatClient();
                services.AddHealthChecks().AddNativeSpec();
            },
            new() { ["NativeSpec:ModelPath"] = broken.Path });
        await host.StartAsync();

        Assert.That(() => host.Services.GetRequiredService<IChatClient>().GetResponseAsync("hi"), Throws.TypeOf<EngineUnavailableException>().With.InnerException.Message.Contains("config.json"));
        Assert.That(await Describe(host.Services.GetRequiredService<HealthCheckService>()), Does.StartWith("Unhealthy").And.Contain("could not be loaded").And.Contain("config.json"));
        await host.StopAsync();
    }

    [TestCase(0, 0, false, HealthStatus.Healthy)]
    [TestCase(1, 1, false, HealthStatus.Healthy)]
    [TestCase(1, 31, false, HealthStatus.Unhealthy)]
    [TestCase(0, 31, false, HealthStatus.Healthy)]
    [TestCase(0, 0, true, HealthStatus.Unhealthy)]
    public void Judge_TellsAStuckEngineFromAnIdleOne(int active, int seconds, bool faulted, HealthStatus expected)
    {
        var now = new EngineSnapshot(0, active, 3, 1, 0, 0, 9, TimeSpan.FromSeconds(seconds), faulted);

        var result = EngineHealthCheck.Judge("m", now, new NativeSpecOptions());

        Assert.That(result.Status, Is.EqualTo(expected), result.Description);
        Assert.That(result.Data["kv_fill"], Is.EqualTo(0.75));
        Assert.That(EngineHealthCheck.Judge("m", now with { Waiting = 1024, IsFaulted = false, SinceLastRound = default }, new NativeSpecOptions()).Status, Is.EqualTo(HealthStatus.Degraded));
    }

    [Test]
    public async Task Stop_WaitsForWhatRuns_AndTakesNothingNew()
    {
        var host = new EngineHost(Options(), NullLogger<EngineHost>.Instance);
        using var client = new NativeSpecChatClient(host);
        await host.LoadedAsync();
        await using var updates = client.GetStreamingResponseAsync("hi", new() { MaxOutputTokens = 100, Temperature = 0 }).GetAsyncEnumerator();
        Assert.That(await updates.MoveNextAsync(), Is.True);

        var stopping = host.StopAsync(CancellationToken.None);
        Assert.That(() => client.GetResponseAsync("too late"), Throws.TypeOf<EngineUnavailableException>());
        Assert.That(stopping.IsCompleted, Is.False);
        var last = updates.Current;
        while (await updates.MoveNextAsync())
        {
            last = updates.Current;
        }

        await stopping;
        Assert.That(last.FinishReason, Is.EqualTo(ChatFinishReason.Length), "the answer that had begun is whole");
        Assert.That(host.Running, Is.Zero);
    }

    [Test]
    public async Task Stop_WhenItsTimeIsOver_EndsWhatRuns()
    {
        var host = new EngineHost(Options(), NullLogger<EngineHost>.Instance);
        using var client = new NativeSpecChatClient(host);
        await host.LoadedAsync();
        await using var updates = client.GetStreamingResponseAsync("hi", new() { MaxOutputTokens = 400, Temperature = 0 }).GetAsyncEnumerator();
        Assert.That(await updates.MoveNextAsync(), Is.True);

        await host.StopAsync(new CancellationToken(canceled: true));

        Assert.That(
            async () =>
            {
                while (await updates.MoveNextAsync())
                {
                }
            },
            Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public async Task Stop_WhileLoading_EndsTheLoad()
    {
        var gate = new TaskCompletionSource();
        var host = new EngineHost(
            Options().ConfigureEngine(engine =>
            {
                gate.Task.Wait();
                return engine;
            }),
            NullLogger<EngineHost>.Instance);
        var waiting = host.LoadedAsync();
        var stopping = host.StopAsync(CancellationToken.None);
        gate.SetResult();
        await stopping;

        Assert.That(async () => await waiting, Throws.TypeOf<EngineUnavailableException>());
        Assert.That(host.State, Is.EqualTo(EngineHostState.Draining));
        Assert.That(host.LoadedAsync().IsCompleted, Is.True, "nobody waits for ever");
    }

    [Test]
    public void Options_SetEveryOptionThatHasTheName()
    {
        // A new member of one must reach the other.
        var shared = typeof(NativeSpecOptions).GetProperties().Select(property => property.Name).Intersect(typeof(EngineOptions).GetProperties().Select(property => property.Name)).ToArray();
        var options = new NativeSpecOptions
        {
            ModelPath = "m",
            DraftModels = ["a"],
            Medusa = "b",
            ChatTemplate = "plain",
            Threads = 3,
            Backend = Backends.BackendKind.Cpu,
            Device = 1,
            Weights = Tensors.WeightFormat.Q8,
            KvFormat = Tensors.KvFormat.BF16,
            MaxSequences = 2,
            MaxWaiting = 3,
            MaxWaitingTokens = 4,
            MaxContext = 5,
            KvTokens = 6,
            PrefixCache = false,
            SlowReaderTimeout = TimeSpan.FromSeconds(7),
            ProfileDirectory = "p",
        };

        var made = options.Bound();

        foreach (var name in shared)
        {
            Assert.That(typeof(EngineOptions).GetProperty(name)!.GetValue(made), Is.EqualTo(typeof(NativeSpecOptions).GetProperty(name)!.GetValue(options)), name);
            Assert.That(typeof(EngineOptions).GetProperty(name)!.GetValue(made), Is.Not.EqualTo(typeof(EngineOptions).GetProperty(name)!.GetValue(new EngineOptions())), $"the test gives {name} no other value than its default");
        }
    }

    private NativeSpecOptions Options() => new() { ModelPath = _folder.Path, ChatTemplate = "plain", WarmUp = false };

    private static async Task<string> Describe(HealthCheckService health)
    {
        var entry = (await health.CheckHealthAsync()).Entries["nativespec"];
        return $"{entry.Status}: {entry.Description}";
    }

    private static IHost Build(Action<IServiceCollection> add, Dictionary<string, string?> settings)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddInMemoryCollection(settings);
        builder.Logging.ClearProviders();
        add(builder.Services);
        builder.Services.ConfigureAll<NativeSpecOptions>(options => (options.ChatTemplate, options.WarmUp) = ("plain", false));
        return builder.Build();
    }
}
