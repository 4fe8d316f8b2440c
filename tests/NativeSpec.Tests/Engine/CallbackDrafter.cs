using NativeSpec.Speculation;

namespace NativeSpec.Tests.Engine;

/// <summary>A drafter that proposes nothing and calls the test where the engine calls it: on the scheduler's thread.</summary>
internal sealed class CallbackDrafter : IDrafterSource, IDrafter
{
    public Action OnStart { get; init; } = () => { };

    public Action OnPropose { get; init; } = () => { };

    public Action OnObserve { get; init; } = () => { };

    public Action OnDispose { get; init; } = () => { };

    public string Name => "callback";

    /// <summary>How often it was disposed, as a source or as a request's drafter.</summary>
    public int Disposals { get; private set; }

    /// <summary>For a request that uses this drafter and no other, in every round.</summary>
    public SpeculationOptions Alone => new() { Drafters = [], Sources = [this], Unplanned = true };

    public IDrafter Start(ReadOnlyMemory<int> prompt)
    {
        OnStart();
        return this;
    }

    public void Propose(DraftContext context, DraftTree tree) => OnPropose();

    public void Observe(RoundOutcome outcome) => OnObserve();

    public void Dispose()
    {
        Disposals++;
        OnDispose();
    }
}
