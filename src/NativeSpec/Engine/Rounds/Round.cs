using NativeSpec.Engine.Requests;
using NativeSpec.Model;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Engine.Rounds;

/// <summary>Computes the rows of a forest: a model's forward, or what stands for it in a test.</summary>
internal delegate IForwardResult ForwardPass(Forest forest, CancellationToken cancellationToken);

/// <summary>One turn of the engine, for all of its sequences: draft, plan, forward, walk, commit, learn.</summary>
/// <remarks>Drafters build a tree for every sequence that decodes, the planner shares the nodes out, one forward computes them beside the next
/// rows of prompts; then every sequence walks along its own tree, commits the path and learns from it. What one sequence's drafters
/// throw, or its logits spoil, ends that sequence alone. Allocates nothing once warm.</remarks>
internal sealed class Round
{
    private readonly ForwardLimits _limits;
    private readonly ForwardPass _forward;
    private readonly SpeculationCore _core;
    private readonly RoundDrafts _drafts;
    private readonly RoundPlan _plan;
    private readonly Verifier _verifier;
    private readonly int _prefillChunk;
    private readonly PromptRows _prompts;
    private readonly Forest _forest;
    private readonly List<Sequence> _computed; // those that decode, then prompts
    private readonly List<Drafting> _drafted;  // of those that decode
    private GateAnswer _gate;                  // whether drafters are asked in this round

    /// <summary>Rounds of a model.</summary>
    /// <param name="limits">What a forward of it may hold.</param>
    /// <param name="forward">Computes a forest.</param>
    /// <param name="core">What the sequences' speculation shares.</param>
    /// <param name="prefillChunk">Most prompt tokens of a round.</param>
    public Round(ForwardLimits limits, ForwardPass forward, SpeculationCore core, int prefillChunk)
    {
        (_limits, _forward, _core, _prefillChunk) = (limits, forward, core, prefillChunk);
        _prompts = new PromptRows(core.Cost, limits.MaxSequences);
        _drafts = new RoundDrafts(core.Clock);
        _plan = new RoundPlan(core);
        _verifier = new Verifier(core.VocabSize);
        _forest = new Forest(limits.MaxSequences);
        _computed = new List<Sequence>(limits.MaxSequences);
        _drafted = new List<Drafting>(limits.MaxSequences);
    }

    /// <summary>What the last round took; nothing where there was nothing to compute.</summary>
    public RoundTimes Times { get; private set; }

    /// <summary>Computes the next step of <paramref name="active"/>: sequences that decode first, then as much of which prompts as
    /// <see cref="PromptSharing"/> says.</summary>
    /// <exception cref="OperationCanceledException">Nothing was computed or committed.</exception>
    public void Run(List<Sequence> active, CancellationToken cancellationToken)
    {
        var began = _core.Clock.GetTimestamp();
        Times = default;
        Draft(active, cancellationToken);
        _plan.Choose(_drafted);
        FillForest(active, began);
        if (_computed.Count == 0)
        {
            return;
        }

        var context = ContextOfForest();

        var forwardBegan = _core.Clock.GetTimestamp();
        var rows = _forward(_forest, cancellationToken);
        var forward = _core.Clock.GetTimestamp() - forwardBegan;
        var emitted = 0;
        for (var i = 0; i < _computed.Count; i++)
        {
            emitted += Finish(i, rows, forward);
        }

        Times = new RoundTimes(TimeSpan.FromSeconds(Seconds(forward)), _core.Clock.GetElapsedTime(began));

        // What a round with prompts or a draft's reading in it takes says nothing about those without.
        if (_computed.Count > _drafted.Count)
        {
            _prompts.Cost.Observe(_forest.RowCount, context, Seconds(forward));
        }
        else
        {
            var seconds = Seconds(_core.Clock.GetTimestamp() - began);
            if (_drafts.RowsRead == 0)
            {
                _core.ObserveRound(_forest.RowCount, _plan.Context, Seconds(forward), seconds, emitted);
                if (active.Count == 1 && _drafted.Exists(Drafting.IsGated) && _drafted[0].WasAsked)
                {
                    _core.Gate.ObserveAlone(emitted, _forest.RowCount, seconds - Seconds(forward), _plan.Context);
                }
            }

            // Only rounds in which the gate decided something compare its arms.
            if (_gate.Decides && _drafted.Exists(Drafting.IsGated) && !_drafted.Exists(Drafting.IsUngated))
            {
                var plainSeconds = _core.Cost.At(_drafted.Count, _plan.Context) * emitted / _drafted.Count;
                _core.Gate.Observe(active.Count, _gate.Opens, plainSeconds, seconds, hasRead: _drafts.RowsRead > 0);
            }
        }
    }

    /// <summary>Has drafters build the trees of all sequences that decode; one whose drafter throws fails.</summary>
    private void Draft(List<Sequence> active, CancellationToken cancellationToken)
    {
        _computed.Clear();
        _drafted.Clear();
        var decoding = CountDecoding(active);
        _gate = _core.Gate.Ask(active.Count, decoding, _plan.Context);
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining == 0)
            {
                sequence.Drafting.Begin(new RoundRoom(sequence.MaxDepth, _core.MaxNodes / decoding, decoding - 1, _gate.Opens, _gate.MayOpenAfter));
                _computed.Add(sequence);
                _drafted.Add(sequence.Drafting);
            }
        }

        // Text that drafters read shares the rows and the time of prompts.
        var (mayRead, isAlone) = (decoding == active.Count ? 1 : 0.5, active.Count == 1);
        var plain = _core.Cost.At(decoding, ContextOf(active));
        var seconds = isAlone ? double.PositiveInfinity : (PromptSharing.BesideTexts(plain) - plain) * mayRead;
        _drafts.Propose(_drafted, (int)Math.Ceiling(_prefillChunk * mayRead), seconds, cancellationToken);
        for (var i = _computed.Count - 1; i >= 0; i--)
        {
            if (_drafted[i].Failure is { } failure)
            {
                _computed[i].Fail(failure);
                _computed.RemoveAt(i);
                _drafted.RemoveAt(i);
            }
        }
    }

    /// <summary>Puts the chosen nodes of those that decode into the forest, and the next rows of prompts.</summary>
    private void FillForest(List<Sequence> active, long began)
    {
        _forest.Clear();
        for (var i = 0; i < _computed.Count; i++)
        {
            _computed[i].TakePlanned(_plan.Of(i));
            _forest.Add(_computed[i].Kv!, _computed[i].Tree, firstLogitNode: 0, choices: _computed[i].Drafting.Sampling);
        }

        // Rows of texts are within a chunk too, as long as they leave prompts half of it: one more than a device's pass takes would be a second pass over all weights.
        var chunk = Math.Max(_prefillChunk - _forest.RowCount, (_prefillChunk + 1) / 2);
        var most = Math.Min(Math.Min(chunk, _prefillChunk - _drafts.RowsRead), _limits.MaxRows - _forest.RowCount);
        var shares = _prompts.Share(active, most, new TextRows(_forest.RowCount, _plan.Context, Seconds(_core.Clock.GetTimestamp() - began), _drafts.RowsRead > 0));
        var prompt = 0;
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining > 0 && shares[prompt++] is > 0 and var rows)
            {
                var ends = sequence.TakePromptChunk(rows);
                _forest.Add(sequence.Kv!, sequence.Tree, ends ? sequence.Tree.Count - 1 : sequence.Tree.Count, choices: sequence.Drafting.Sampling);
                _computed.Add(sequence);
            }
        }
    }

    /// <summary>Tokens that the rows of the forest see, on average.</summary>
    private int ContextOfForest()
    {
        var seen = 0L;
        foreach (ref readonly var entry in _forest.Entries)
        {
            seen += (long)entry.Tree.Count * entry.Sequence.Length;
        }

        return (int)(seen / _forest.RowCount);
    }

    /// <summary>Tokens that the sequences that decode have, on average.</summary>
    private static int ContextOf(List<Sequence> active)
    {
        var (count, tokens) = (0, 0L);
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining == 0)
            {
                count++;
                tokens += sequence.Kv!.Length;
            }
        }

        return count == 0 ? 0 : (int)(tokens / count);
    }

    /// <summary>Walks, commits and learns for one of the computed sequences; returns how many tokens its text has gained.</summary>
    private int Finish(int index, IForwardResult rows, long forwardTicks)
    {
        var (sequence, decodes) = (_computed[index], index < _drafted.Count);
        try
        {
            return decodes ? FinishDecoding(sequence, index, rows, forwardTicks) : FinishPrompt(sequence, index, rows);
        }
#pragma warning disable CA1031 // Unusable logits and drafters' mistakes end one request.
        catch (Exception error)
#pragma warning restore CA1031
        {
            sequence.Fail(error);
            return 0;
        }
    }

    private int FinishDecoding(Sequence sequence, int index, IForwardResult rows, long forwardTicks)
    {
        var drafting = sequence.Drafting;
        var result = _verifier.Walk(drafting.Result, rows, _forest.LogitRow(index, 0), drafting.Sampling, sequence);
        sequence.Kv!.Commit(result.CommittedPath);
        if (sequence.IsFinished)
        {
            drafting.End(result);
        }
        else
        {
            drafting.Learn(result);
        }

        sequence.Kv.Share(drafting.Text);
        drafting.Record(result, forwardTicks);
        return result.Emitted.Length;
    }

    /// <summary>Commits a piece of a prompt and lets drafters read it; the prompt's last row chooses the text's first token.</summary>
    private int FinishPrompt(Sequence sequence, int index, IForwardResult rows)
    {
        var lastNode = sequence.Tree.Count - 1;
        var drafting = sequence.Drafting;
        sequence.Kv!.CommitChain(sequence.Tree.Count);
        sequence.Kv.Share(drafting.Text);
        if (!sequence.PromptBeginsText)
        {
            return 0;
        }

        drafting.ReadPrompt(sequence.Kv.Length);
        if (sequence.PromptRemaining > 0)
        {
            return 0;
        }

        drafting.PlanPromptEnd();
        var result = _verifier.Walk(drafting.Result, rows, _forest.LogitRow(index, lastNode), drafting.Sampling, sequence);
        if (!sequence.IsFinished)
        {
            drafting.Learn(result);
        }

        return result.Emitted.Length;
    }

    private static int CountDecoding(List<Sequence> active)
    {
        var count = 0;
        foreach (var sequence in active)
        {
            count += sequence.PromptRemaining == 0 ? 1 : 0;
        }

        return count;
    }

    private double Seconds(long ticks) => (double)ticks / _core.Clock.TimestampFrequency;
}
