using System.Collections.Concurrent;
using System.Diagnostics;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Sampling;

namespace NativeSpec.Tests.Engine.Telemetry;

/// <summary>Each request is one activity, a child of its caller's, that ends with the request and is current nowhere else.</summary>
[NonParallelizable]
public sealed class RequestActivityTests
{
    private static readonly GenerationOptions Greedy = new() { MaxTokens = 12, Temperature = 0, IgnoreEndOfText = true, Seed = 3 };

    [Test]
    public async Task Requests_AreActivitiesOfTheirCallers()
    {
        using var folder = new TestFolder();
        var stopped = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == InferenceEngine.TelemetryName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = stopped.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        var onSchedulersThread = new ConcurrentQueue<Activity?>();
        var drafter = new CallbackDrafter { OnPropose = () => onSchedulersThread.Enqueue(Activity.Current) };
        var slow = new CallbackDrafter { OnPropose = () => Thread.Sleep(1) }; // so that it is not over before its reader leaves
        GenerationResult result;
        using var caller = new Activity("caller").Start();
        using (var engine = InferenceEngine.Load(folder.Path, new EngineOptions { Name = "traced", CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 1 }) }))
        {
            result = await engine.CompleteAsync("abc", Greedy with { Speculation = drafter.Alone });
            Assert.That(async () => await engine.CompleteAsync([TestFolder.PoisonedToken], Greedy), Throws.InstanceOf<NonFiniteLogitsException>());
            await foreach (var piece in engine.GenerateAsync("abc", Greedy with { MaxTokens = 400, Speculation = slow.Alone }))
            {
                Assert.That(Activity.Current, Is.SameAs(caller), "the reader's own activity stays current");
                break; // which cancels the request
            }

            SpinWait.SpinUntil(() => engine.Snapshot().Active == 0);
            await engine.CompleteAsync("abc", Greedy with { Speculation = drafter.Alone }); // after others have ended on the scheduler's thread
        }

        Assert.That(Activity.Current, Is.SameAs(caller));
        Assert.That(onSchedulersThread, Is.Not.Empty.And.All.Null);
        var activities = stopped.ToArray();
        Assert.That(activities.Select(activity => activity.ParentSpanId), Is.EqualTo(Enumerable.Repeat(caller.SpanId, 4)));
        var (finished, failed, left) = (activities[0], activities[1], activities[2]);
        Assert.That(finished.DisplayName, Is.EqualTo("text_completion traced"));
        Assert.That(finished.Status, Is.EqualTo(ActivityStatusCode.Unset));
        Assert.That(finished.GetTagItem("gen_ai.request.model"), Is.EqualTo("traced"));
        Assert.That(finished.GetTagItem("gen_ai.request.seed"), Is.EqualTo(3UL));
        Assert.That(finished.GetTagItem("gen_ai.usage.input_tokens"), Is.EqualTo(result.PromptTokens));
        Assert.That(finished.GetTagItem("gen_ai.usage.output_tokens"), Is.EqualTo(12));
        Assert.That(finished.GetTagItem("gen_ai.response.finish_reasons"), Is.EqualTo(new[] { "length" }));
        Assert.That(finished.GetTagItem("nativespec.rounds"), Is.EqualTo(result.Timings.Rounds));
        Assert.That((double)finished.GetTagItem("nativespec.time_to_first_token")!, Is.Positive);
        Assert.That((failed.Status, failed.GetTagItem("error.type")), Is.EqualTo((ActivityStatusCode.Error, (object)typeof(NonFiniteLogitsException).FullName!)));
        Assert.That((left.Status, left.GetTagItem("error.type")), Is.EqualTo((ActivityStatusCode.Error, (object)typeof(OperationCanceledException).FullName!)));
    }

    /// <summary>Whoever listens may fail where an activity is asked for, begun or ended.</summary>
    [Test]
    public async Task Requests_WhereTheListenerThrows_AreServed([Values("sample", "started", "stopped")] string where)
    {
        using var folder = new TestFolder();
        var thrown = 0;
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == InferenceEngine.TelemetryName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => Throw("sample", ActivitySamplingResult.AllDataAndRecorded),
            ActivityStarted = _ => Throw("started", 0),
            ActivityStopped = _ => Throw("stopped", 0),
        };
        ActivitySource.AddActivityListener(listener);
        using (var engine = InferenceEngine.Load(folder.Path, new EngineOptions { CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 1 }) }))
        {
            Assert.That((await engine.CompleteAsync("abc", Greedy)).Ids, Has.Count.EqualTo(12));
            Assert.That((await engine.CompleteAsync("abc", Greedy)).Ids, Has.Count.EqualTo(12));
        }

        Assert.That(thrown, Is.EqualTo(2));
        Assert.That(Activity.Current, Is.Null);

        T Throw<T>(string here, T otherwise)
        {
            if (here != where)
            {
                return otherwise;
            }

            Interlocked.Increment(ref thrown);
            throw new FormatException("mine");
        }
    }
}
