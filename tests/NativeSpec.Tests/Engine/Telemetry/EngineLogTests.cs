using Microsoft.Extensions.Logging;
using NativeSpec.Engine;
using NativeSpec.Sampling;

namespace NativeSpec.Tests.Engine.Telemetry;

/// <summary>What an engine says of its requests to a logger.</summary>
public sealed class EngineLogTests : FolderFixture
{
    [Test]
    public async Task Logger_APromptThatBeginsTwice_IsWarnedOf()
    {
        const string Text = "<|begin_of_text|>hello";
        var log = new ListLogger();
        using (var engine = Open(new EngineOptions { Logger = log }))
        {
            await engine.CompleteAsync(Text, new() { MaxTokens = 1 });
            await engine.CompleteAsync(Text, new() { MaxTokens = 1, ParseSpecial = true, AddSpecial = false });
            Assert.That(log.Entries.Where(e => e.Level == LogLevel.Warning), Is.Empty);
            await engine.CompleteAsync(Text, new() { MaxTokens = 1, ParseSpecial = true });
        }

        Assert.That(log.Entries.Where(e => e.Level == LogLevel.Warning).Select(e => e.Text), Has.Exactly(1).Contains("twice"));
    }

    [Test]
    public async Task Logger_ARequestThatFails_IsToldOnceWithItsError()
    {
        var log = new ListLogger();
        using (var engine = Open(new EngineOptions { Logger = log }))
        {
            Assert.ThrowsAsync<NonFiniteLogitsException>(() => engine.CompleteAsync([104, TestFolder.PoisonedToken], Sampled));
            var drafter = new CallbackDrafter { OnStart = () => throw new FormatException("mine") };
            Assert.ThrowsAsync<FormatException>(() => engine.CompleteAsync("hello", Sampled with { Speculation = drafter.Alone }));
            Assert.That(async () => await engine.CompleteAsync("hello", Sampled, new CancellationToken(true)), Throws.InstanceOf<OperationCanceledException>());
            await engine.CompleteAsync("hello", Sampled);
        }

        var errors = log.Entries.Where(entry => entry.Level == LogLevel.Error).ToArray();
        Assert.That(errors.Select(entry => entry.Error), Is.EqualTo(new[] { typeof(NonFiniteLogitsException), typeof(FormatException) }).Using<Exception?, Type>((error, type) => error?.GetType() == type));
        Assert.That(errors[0].Text, Does.Contain("2 tokens"));
    }
}
