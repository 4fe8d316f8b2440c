using Microsoft.Extensions.Logging;
using NativeSpec.Backends;
using NativeSpec.Backends.Cuda;
using NativeSpec.Engine;
using NativeSpec.Model;
using NativeSpec.Speculation;
using NativeSpec.Tensors;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Engine.Telemetry;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>Any call of the driver may fail at any time: what was answered before is right, what is asked after is refused, and nothing is left behind.</summary>
public sealed class CudaFaultTests
{
    private const int Faults = 1000;

    [SetUp]
    public void Require() => CudaEmulator.Require();

    [TearDown]
    public void NoMoreFaults()
    {
        CudaEmulator.Set("FAULTS", "0,0");
        CudaEmulator.Set("FAIL", "none,0,0");
        Assert.That(CudaEmulator.Problems(), Is.Empty);
    }

    [Test]
    public void Forward_AThousandRandomFaults_NeverAWrongNumberALeakOrAnotherException()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 3);
        var expected = new List<float[]>();
        Assert.That(Steps(weights, expected, check: false), Is.Null);
        var (failed, whole, first) = (0, 0, CudaEmulator.Count("faults"));
        for (var seed = 1; CudaEmulator.Count("faults") - first < Faults; seed++)
        {
            // From faults while loading to faults in a late round.
            CudaEmulator.Set("FAULTS", $"{seed},{0.002 * Math.Pow(2, seed % 5)}");
            var error = Steps(weights, expected, check: true);
            CudaEmulator.Set("FAULTS", "0,0");
            (failed, whole) = error is null ? (failed, whole + 1) : (failed + 1, whole);
        }

        TestContext.Out.WriteLine($"{failed} runs ended by a fault, {whole} were whole");
        Assert.That(failed, Is.GreaterThan(Faults / 2));
        Assert.That(Steps(weights, expected, check: true), Is.Null, "without faults all is as before");
    }

    [Test]
    public async Task CompleteAsync_TheDeviceIsLost_EndsAllThatWaitsWithOneTypedExceptionAndRefusesWhatComes()
    {
        using var folder = new TestFolder(dtype: DType.BF16);
        var log = new ListLogger();
        using var engine = Open(folder, log);
        var plain = await engine.CompleteAsync([1, 2, 3], Options);
        List<int> seen = [];
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var first = Read();
        await begun.Task;
        var others = Enumerable.Range(0, 3).Select(_ => engine.CompleteAsync([4, 5, 6], Options)).ToArray();
        CudaEmulator.Set("FAIL", "cuStreamSynchronize,1,719");

        var error = Assert.ThrowsAsync<EngineFaultedException>(() => first)!;
        Assert.That((error.Code, error.Message), Is.EqualTo((719, error.Message)));
        Assert.That(error.Message, Does.Contain("CUDA_ERROR_LAUNCH_FAILED"));
        foreach (var other in others)
        {
            Assert.ThrowsAsync<EngineFaultedException>(() => other);
        }

        Assert.That(plain.Ids.Take(seen.Count), Is.EqualTo(seen), "what was written before is right");
        Assert.That(() => engine.GenerateAsync([1], Options), Throws.TypeOf<EngineFaultedException>());
        engine.Dispose();
        var logged = log.Entries.Where(entry => entry.Level >= LogLevel.Error).Select(entry => (entry.Level, entry.Error)).ToArray();
        Assert.That(logged, Is.EqualTo(new[] { (LogLevel.Critical, error.InnerException) }), "once, with the driver's facts, however many requests it ends");

        async Task Read()
        {
            await foreach (var piece in engine.GenerateAsync([1, 2, 3], Options))
            {
                seen.AddRange(piece.Ids);
                begun.TrySetResult();
            }
        }
    }

    [Test]
    public void Run_WaitingForEveryKernel_NamesTheOneThatFails()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.BF16, 3);
        using var run = new ModelRun(CudaEmulator.Create(new CudaOptions { IsSynchronous = true }), weights.Config, weights.Tensors);
        var sequence = run.Open();
        CudaEmulator.Set("FAIL", "cuStreamSynchronize,4,700");

        var error = Assert.Throws<BackendFaultedException>(() => run.Append(sequence, [1]))!;

        Assert.That((error.Code, error.Kernel), Is.EqualTo((700, "matmul_bf16_8")), "after the moves, the rows of the table and their norm");
        Assert.That(() => run.Append(sequence, [1]), Throws.TypeOf<BackendFaultedException>().With.Message.Contains("matmul_bf16_8"));
    }

    [TestCase("cuStreamBeginCapture_v2")]
    [TestCase("cuLaunchKernel")]
    [TestCase("cuLaunchKernelEx")]
    [TestCase("cuGraphInstantiateWithFlags")]
    public void Run_AGraphThatTheDriverRefuses_IsLaunchedKernelByKernelFromThenOn(string call)
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 3);
        using var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors);
        var (straight, refused) = (run.Open(), run.Open());
        var faults = CudaEmulator.Count("faults");
        var logits = run.Append(refused, [1]); // kernel by kernel, as the first time always
        CudaEmulator.Set("FAIL", $"{call},1,2");
        var graphs = CudaEmulator.Count("graph_launches");
        logits.AddRange(run.Append(refused, [2, 3, 4]));

        Assert.That(CudaEmulator.Count("faults") - faults, Is.EqualTo(1));
        Assert.That(CudaEmulator.Count("graph_launches") - graphs, Is.Zero, "it is not tried again");
        Assert.That(run.Append(straight, [1, 2, 3, 4]), Is.EqualTo(logits));
        run.Append(straight, [.. Enumerable.Range(5, 18)], chunk: 9);
        Assert.That(CudaEmulator.Count("graph_launches") - graphs, Is.EqualTo(1), "other buckets have theirs");
    }

    private static GenerationOptions Options => new() { MaxTokens = 24, Temperature = 0, Speculation = SpeculationOptions.Off };

    internal static InferenceEngine Open(TestFolder folder, ILogger? logger = null) => InferenceEngine.Load(folder.Path, new EngineOptions
    {
        Logger = logger,
        Backend = BackendKind.Cuda,
        Device = 0,
        MaxContext = 128,
        KvTokens = 512,
        MaxSequences = 2,
        MaxTreeNodes = 16,
    });

    /// <summary>Loads a model, computes a prompt, two trees and what follows them; compares every row. Returns the fault that ended it.</summary>
    private static Exception? Steps(SyntheticModel weights, List<float[]> expected, bool check)
    {
        var next = 0;
        if (CudaBackend.TryCreate(new CudaOptions { Device = 0 }, out var reason) is not { } backend)
        {
            return new InvalidOperationException(reason);
        }

        try
        {
            using var run = backend;
            using var model = new LlamaModel(weights.Config, weights.Tensors, backend, new ForwardLimits(8, 8, 1, 64));
            using var cache = model.CreateCache(64);
            var (sequence, forest) = (cache.TryOpen(40)!, new Forest(1));
            Compute(ModelRun.Chain(1, 2, 3), [0, 1, 2]);
            var tree = new TokenTree(4);
            tree.Add(-1, 9);
            tree.Add(0, 10);
            tree.Add(0, 11);
            tree.Add(2, 12);
            Compute(tree, [0, 2, 3]);
            Compute(tree, [0, 1]);
            Compute(ModelRun.Chain(77), [0]);
            return null;

            void Compute(TokenTree nodes, int[] path)
            {
                forest.Clear();
                forest.Add(sequence, nodes, 0);
                var rows = model.Forward(forest);
                for (var node = 0; node < nodes.Count; node++, next++)
                {
                    if (check)
                    {
                        Assert.That(rows.Logits(node).SequenceEqual(expected[next]), $"row {next}");
                    }
                    else
                    {
                        expected.Add(rows.Logits(node).ToArray());
                    }
                }

                sequence.Commit(path);
            }
        }
        catch (BackendException error)
        {
            return error;
        }
    }
}
