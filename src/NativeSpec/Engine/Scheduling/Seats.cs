using Microsoft.Extensions.Logging;
using NativeSpec.Engine.Requests;
using NativeSpec.Engine.Telemetry;
using NativeSpec.Model;

namespace NativeSpec.Engine.Scheduling;

/// <summary>Which requests hold pages, which wait for them, and whose turn it is.</summary>
/// <remarks>
/// <para><b>Pages.</b> A request is seated when there are cache pages for its text so far, those that others hold of it not counted, and a page in
/// reserve for each that is being served; it takes further pages as its text grows. When there are none left, the last of those that are served
/// gives all of its pages back and waits (preemption with recomputation, as in vLLM; Kwon et al., 2023): when it is seated again, what
/// the prefix cache has not kept of its text is computed again as a prompt is, which gives the same bits, and it goes on as if nothing had been.</para>
/// <para><b>Nobody starves.</b> Requests are served in the order of their priority and, among equals, of their arrival, and whoever gives its
/// pages back keeps its place in that order. So of those with the highest priority the oldest keeps its pages until it ends: alone it always
/// has room, because one that has not is refused when it is submitted.</para>
/// <para><b>Slow readers.</b> A request whose reader is behind takes no rows. It keeps its pages and its seat as long as nobody else needs
/// them.</para>
/// </remarks>
internal sealed class Seats(KvCache cache, int maxSequences)
{
    /// <summary>Those that wait, in their order.</summary>
    public List<Sequence> Waiting { get; } = [];

    /// <summary>Those that hold pages, in their order.</summary>
    public List<Sequence> Active { get; } = new(maxSequences);

    /// <summary>Of those, whose readers keep up: the next round is theirs.</summary>
    public List<Sequence> Turn { get; } = new(maxSequences);

    /// <summary>How often a request has given its pages back to one before it.</summary>
    public long Preemptions { get; private set; }

    /// <summary>Has a request wait.</summary>
    public void Wait(Sequence sequence) => Insert(Waiting, sequence);

    /// <summary>Gives a request that has pages a seat.</summary>
    public void Take(Sequence sequence) => Insert(Active, sequence);

    /// <summary>Pages for a request's text so far; null where there are none, or all seats are taken.</summary>
    public KvSequence? TryOpen(Sequence sequence)
    {
        while (Active.Count == maxSequences)
        {
            if (!TryPark())
            {
                return null;
            }
        }

        var kv = cache.Open(sequence.CacheSalt);
        sequence.Reuse(kv);
        while (!kv.TryReserve(sequence.RoomForRound, spare: Active.Count))
        {
            if (!TryPark())
            {
                kv.Dispose();
                return null;
            }
        }

        return kv;
    }

    /// <summary>Decides whose turn it is.</summary>
    public void TakeTurns()
    {
        Turn.Clear();
        foreach (var sequence in Active)
        {
            if (!sequence.Pieces.IsBehind())
            {
                Turn.Add(sequence);
            }
        }
    }

    /// <summary>Gives those whose turn it is the pages for their next round, the first first; where there are too few, those whose readers are
    /// behind give theirs back, and then the last of the others. Of two with the same prompt the one that is behind takes over what
    /// the other has computed.</summary>
    /// <param name="logger">Is told who gave pages back.</param>
    public void MakeRoom(ILogger? logger)
    {
        for (var i = 0; i < Turn.Count; i++)
        {
            if (Turn[i].PromptRemaining > 0)
            {
                Turn[i].Reuse(Turn[i].Kv!);
            }

            while (i < Turn.Count && !Turn[i].Kv!.TryReserve(Turn[i].RoomForRound))
            {
                if (TryPark())
                {
                    continue;
                }

                // Not of those whose turn it is: one after them may have been behind when turns were taken, and have read since.
                var last = Active[^1];
                Turn.Remove(last);
                GiveBack(last);
                Preemptions++;
                if (logger is not null)
                {
                    EngineLog.Preempted(logger, last.PromptTokens + last.OutputTokens);
                }
            }
        }
    }

    /// <summary>Takes pages and seat from the last whose reader is behind; false where there is none. Nobody whose turn it is falls behind before
    /// it has been given something.</summary>
    private bool TryPark()
    {
        if (Active.FindLast(static sequence => sequence.Pieces.IsBehind()) is not { } parked)
        {
            return false;
        }

        GiveBack(parked);
        return true;
    }

    private void GiveBack(Sequence sequence)
    {
        sequence.GiveBack();
        Active.Remove(sequence);
        Insert(Waiting, sequence);
    }

    private static void Insert(List<Sequence> sequences, Sequence sequence)
        => sequences.Insert(~sequences.BinarySearch(sequence, Sequence.Order), sequence);
}
