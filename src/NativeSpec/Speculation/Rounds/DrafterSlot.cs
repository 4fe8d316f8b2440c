using NativeSpec.Speculation.Planning;

namespace NativeSpec.Speculation.Rounds;

/// <summary>A drafter at work for one sequence.</summary>
/// <param name="number">The number under which its acceptance is known.</param>
/// <param name="name">Its name.</param>
/// <param name="kind">What it proposes from.</param>
/// <param name="together">The source that asks it together with those of other sequences; null where it is asked by itself.</param>
/// <param name="drafter">The drafter; disposed by the sequence.</param>
/// <param name="account">Whether it can afford to be asked.</param>
internal sealed class DrafterSlot(
    int number, string name, DraftKind kind, BatchDrafterSource? together, IDrafter drafter, DrafterAccount account)
{
    public int Number => number;

    public string Name => name;

    public DraftKind Kind => kind;

    public BatchDrafterSource? Together => together;

    public IDrafter Drafter => drafter;

    public DrafterAccount Account => account;

    /// <summary>Whether the next round's tree will be offered to it.</summary>
    public bool AsksNext { get; set; }

    /// <summary>Whether this round's tree has been offered to it.</summary>
    public bool WasAsked { get; set; }

    /// <summary>The probes that it has added in this round.</summary>
    public int Probes { get; set; }

    /// <summary>The time it has taken in this round.</summary>
    public long RoundTicks { get; set; }
}
