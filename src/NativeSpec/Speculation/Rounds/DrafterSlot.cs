using NativeSpec.Speculation.Planning;

namespace NativeSpec.Speculation.Rounds;

/// <summary>A drafter at work for one sequence.</summary>
/// <param name="number">The number under which its acceptance is known.</param>
/// <param name="name">Its name.</param>
/// <param name="drafter">The drafter; disposed by the sequence.</param>
/// <param name="account">Whether it can afford to be asked.</param>
internal sealed class DrafterSlot(int number, string name, IDrafter drafter, DrafterAccount account)
{
    public int Number { get; } = number;

    public string Name { get; } = name;

    public IDrafter Drafter { get; } = drafter;

    public DrafterAccount Account { get; } = account;

    /// <summary>Whether the next round's tree will be offered to it.</summary>
    public bool AsksNext { get; set; }

    /// <summary>Whether this round's tree has been offered to it.</summary>
    public bool WasAsked { get; set; }

    /// <summary>The probes that it has added in this round.</summary>
    public int Probes { get; set; }

    /// <summary>The time it has taken in this round.</summary>
    public long RoundTicks { get; set; }
}
