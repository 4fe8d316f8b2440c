using NativeSpec.Speculation.Planning;

namespace NativeSpec.Speculation.Rounds;

/// <summary>A drafter at work for one sequence.</summary>
/// <param name="number">The number under which its acceptance is known.</param>
/// <param name="name">Its name.</param>
/// <param name="kind">What it proposes from.</param>
/// <param name="drafter">The drafter; disposed by the sequence.</param>
/// <param name="control">Whether it is worth asking.</param>
internal sealed class DrafterSlot(int number, string name, DraftKind kind, IDrafter drafter, DrafterControl control)
{
    public int Number { get; } = number;

    public string Name { get; } = name;

    public DraftKind Kind { get; } = kind;

    public IDrafter Drafter { get; } = drafter;

    public DrafterControl Control { get; } = control;

    /// <summary>Whether the next round's tree will be offered to it.</summary>
    public bool AsksNext { get; set; }

    /// <summary>Whether this round's tree has been offered to it.</summary>
    public bool WasAsked { get; set; }

    /// <summary>The time it has taken in this round.</summary>
    public long RoundTicks { get; set; }
}
