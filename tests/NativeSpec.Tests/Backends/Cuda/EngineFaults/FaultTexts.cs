using NativeSpec.Backends;
using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Tensors;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Tests.Backends.Cuda.EngineFaults;

/// <summary>The models and requests that faults come to, and each request's text without any.</summary>
internal sealed class FaultTexts : IDisposable
{
    /// <summary>Rows of a prompt in a round; more than a pass.</summary>
    public const int PrefillChunk = 80;

    private readonly TestFolder _folder = new(dtype: DType.BF16, poisoned: false);
    private readonly TestFolder _other = new(seed: 99, poisoned: false);
    private readonly string _profiles = Directory.CreateTempSubdirectory("nativespec-").FullName;
    private readonly string _heads;

    private FaultTexts() => _heads = _other.WriteHeads();

    /// <summary>Requests: short and long, greedy and sampled, chosen by the device and by the host, with all drafters and with none.</summary>
    public static IReadOnlyList<(int[] Prompt, GenerationOptions Options)> Requests { get; } = Make();

    /// <summary>The right ids of each.</summary>
    public required IReadOnlyList<IReadOnlyList<int>> Ids { get; init; }

    /// <summary>Writes the models and, with an engine that never fails and does not speculate, the texts.</summary>
    public static async Task<FaultTexts> WriteAsync()
    {
        var texts = new FaultTexts { Ids = new List<IReadOnlyList<int>>() };
        using var engine = texts.Load(new FaultPlan(FaultMoment.Load, "FAULTS", "0,0", Drafts: false, Heads: false, Sequences: 2, [], []));
        foreach (var (prompt, options) in Requests)
        {
            ((List<IReadOnlyList<int>>)texts.Ids).Add((await engine.CompleteAsync(prompt, options with { Speculation = SpeculationOptions.Off })).Ids);
        }

        return texts;
    }

    /// <summary>An engine of a plan. What its forwards cost is measured when faults are to come to loading, and known otherwise.</summary>
    public InferenceEngine Load(FaultPlan plan) => InferenceEngine.Load(_folder.Path, new EngineOptions
    {
        Backend = BackendKind.Cuda,
        Device = 0,
        MaxContext = 160,
        KvTokens = 512, // three of the longest texts: a fourth one waits, or has somebody give way
        MaxSequences = plan.Sequences,
        MaxTreeNodes = 12,
        PrefillChunk = PrefillChunk,
        DraftModels = plan.Drafts ? [_folder.Path, _other.Path] : [],
        DraftOptions = new DraftModelOptions { Depth = 2, Width = 2, StopBelow = 0 },
        Medusa = plan.Heads ? _heads : null,
        ProfileDirectory = _profiles,
        MeasureAnew = plan.Moment == FaultMoment.Load && plan.Fault == "FAIL",
    });

    public void Dispose()
    {
        _folder.Dispose();
        _other.Dispose();
        Directory.Delete(_profiles, recursive: true);
    }

    private static (int[] Prompt, GenerationOptions Options)[] Make()
    {
        var random = new Random(17);
        var all = new SpeculationOptions { MaxNodes = 8, Unplanned = true };
        var greedy = new GenerationOptions { MaxTokens = 8, Seed = 7, Temperature = 0, IgnoreEndOfText = true, Speculation = all };
        var longest = Ids(130);
        return
        [
            (Ids(3), greedy),
            (Ids(1), greedy with { Temperature = 1.5f }),
            (Ids(100), greedy with { Temperature = 0.7f, MaxTokens = 6 }),
            ([.. Enumerable.Repeat(Ids(4), 5).SelectMany(ids => ids)], greedy with { Temperature = 1, TopP = 0.9f, TopLogProbs = 2, Seed = 3 }),
            (longest, greedy with { Temperature = 0.8f, TopK = 20, RepetitionPenalty = 1.2f, MaxTokens = 5 }),
            ([.. longest.AsSpan(0, 90), 7], greedy with { Temperature = 1, Speculation = SpeculationOptions.Auto }),
            (Ids(20), greedy with { Temperature = 1, MaxTokens = 12, Speculation = SpeculationOptions.Off }),
        ];

        int[] Ids(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(250))];
    }
}
