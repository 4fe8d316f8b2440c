using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Tests.Model;
using NativeSpec.Tests.Speculation.Rounds;
using NativeSpec.Tests.Speculation.Verification;

namespace NativeSpec.Tests.Speculation.Planning;

/// <summary>A clock that only moves when it is told to.</summary>
internal sealed class SimulatedClock : TimeProvider
{
    private long _now;

    public double Seconds => (double)_now / TimestampFrequency;

    public void Pass(double seconds) => _now += (long)(seconds * TimestampFrequency);

    public override long GetTimestamp() => _now;
}

/// <summary>Takes a given time to propose a chain: what the model will write, or anything else.</summary>
internal sealed class SimulatedDrafter(SimulatedClock clock, double seconds, float confidence, string name = "simulated") : StatelessDrafter(name)
{
    /// <summary>The whole text while it is right; null while it is wrong.</summary>
    public int[]? Knows { get; set; }

    public int Asked { get; private set; }

    public override void Propose(DraftContext context, DraftTree tree)
    {
        Asked++;
        clock.Pass(seconds);
        for (var (node, depth) = (0, 0); node >= 0 && depth < 4; depth++)
        {
            var position = context.Text.Length + depth;
            node = tree.Add(node, Knows is { } text && position < text.Length ? text[position] : TestConfigs.Tiny.VocabSize - 1 - depth, 0, confidence);
        }
    }
}

/// <summary>Takes a given time to propose the text's next tokens, each of which is right with a given chance.</summary>
internal sealed class SimulatedGuesser(SimulatedClock clock, double seconds, double chance, LogitsAfter target) : StatelessDrafter("guesser")
{
    private readonly Random _random = new(1);
    private readonly float[] _logits = new float[TestConfigs.Tiny.VocabSize];

    public override void Propose(DraftContext context, DraftTree tree)
    {
        clock.Pass(seconds);
        List<int> text = [.. context.Text];
        for (var (node, depth) = (0, 0); node >= 0 && depth < 3; depth++)
        {
            target([.. text], _logits);
            var right = Array.IndexOf(_logits, _logits.Max());
            text.Add(_random.NextDouble() < chance ? right : TestConfigs.Tiny.VocabSize - 1 - depth);
            node = tree.Add(node, text[^1], 0, 0.8f);
        }
    }
}

/// <summary>Production rounds on a scripted target in simulated time: a forward takes what a given curve says, a drafter what it says
/// itself.</summary>
internal sealed class SimulatedRounds : IDisposable
{
    private const int MaxNodes = 64;

    private static readonly int[] Measured = [1, 2, 4, 8, 16, 32, 64];

    public static readonly ScriptedTarget Target = ScriptedTarget.Markov(TestConfigs.Tiny.VocabSize - 8, order: 3);

    private readonly ScriptedRounds _rounds;

    /// <summary>Begins with an engine that believes <paramref name="believed"/> of the machine; the truth where that is null.</summary>
    public SimulatedRounds(
        SimulatedClock clock, IReadOnlyList<IDrafterSource> drafters, double secondsOfOne, double secondsPerFurtherNode, CostCurve? believed = null, int callers = 1)
    {
        Clock = clock;
        double Cost(int nodes) => secondsOfOne + (secondsPerFurtherNode * (nodes - 1));
        Core = new SpeculationCore(drafters, believed ?? new CostCurve(Measured, [.. Measured.Select(Cost)]), TestConfigs.Tiny.VocabSize, MaxNodes, clock);
        _rounds = new ScriptedRounds(Target.Logits, Core, callers) { BeforeForward = (rows, _) => clock.Pass(Cost(rows)) };
    }

    public SimulatedClock Clock { get; }

    public SpeculationCore Core { get; }

    /// <summary>Probes computed in all texts.</summary>
    public long Probes { get; private set; }

    /// <summary>Writes a text and returns its tokens, the prompt's included, and tokens per simulated second after the first. The last eight
    /// tokens of the vocabulary are never among them.</summary>
    public (int[] Text, double Rate) Write(int prompt, int tokens, Action<int>? beforeRound = null)
    {
        using var sequence = _rounds.Start([prompt], new GenerationOptions { Temperature = 0, MaxTokens = 2 * tokens, Speculation = SpeculationOptions.Auto });
        _rounds.Run();
        var (began, first) = (Clock.Seconds, sequence.Output.Count);
        while (sequence.Output.Count < tokens)
        {
            beforeRound?.Invoke(1 + sequence.Output.Count);
            _rounds.Run();
        }

        _rounds.Active.Clear();
        Probes += sequence.Sequence.Drafting.Stats.Probes;
        return ([prompt, .. sequence.Output], (sequence.Output.Count - first) / (Clock.Seconds - began));
    }

    /// <summary>Writes texts of several callers at once, of one token more for each than for the one before, and begins a new one where one ends.</summary>
    /// <param name="callers">Callers; their prompts are 1, 2, …</param>
    /// <param name="tokens">Tokens of a text.</param>
    /// <param name="rounds">Rounds.</param>
    /// <returns>Tokens per simulated second, all callers together.</returns>
    public double WriteTogether(int callers, int tokens, int rounds)
    {
        var (written, began) = (0, Clock.Seconds);
        for (var round = 0; round < rounds; round++)
        {
            for (var i = _rounds.Active.Count; i < callers; i++)
            {
                _rounds.Start([1 + i], new GenerationOptions { Temperature = 0, MaxTokens = tokens + i, Speculation = SpeculationOptions.Auto });
            }

            var active = _rounds.Active.ToArray();
            var before = active.Sum(sequence => sequence.Output.Count);
            _rounds.Run();
            written += active.Sum(sequence => sequence.Output.Count) - before;
            foreach (var ended in active.Where(sequence => sequence.Sequence.IsFinished))
            {
                ended.Dispose();
            }
        }

        return written / (Clock.Seconds - began);
    }

    public void Dispose() => _rounds.Dispose();
}
