using NativeSpec.Speculation.Planning;

namespace NativeSpec.Speculation.Rounds;

/// <summary>Has the trees of a round built: first, sequence by sequence, the drafters that only read; then those that compute, each source once for
/// all sequences that want it; then in the same way those that sample.</summary>
/// <remarks>A drafter that has text to read before it can propose reads a part of it instead, out of the rows that prompts share: so the other
/// sequences wait for a draft model's reading no longer than for a prompt. Allocates nothing once warm.</remarks>
internal sealed class RoundDrafts(TimeProvider clock)
{
    /// <summary>Rows of the first reading, by which the others are timed.</summary>
    private const int FirstReading = 64;

    private static readonly DraftKind[] Order = [DraftKind.Text, DraftKind.Computed, DraftKind.Sampled];

    private readonly List<Group> _groups = []; // the first _groupCount of them are in use
    private int _groupCount;
    private int _rowsLeft;
    private double _secondsLeft;
    private SteadyMean _secondsPerRow; // of reading

    /// <summary>Rows of text that drafters have read in this round.</summary>
    public int RowsRead { get; private set; }

    /// <summary>Has the trees built. A sequence whose drafter throws has a <see cref="Drafting.Failure"/> afterwards.</summary>
    /// <param name="sequences">The sequences, each of which has begun its round.</param>
    /// <param name="rowsToRead">Most rows of text that drafters read, all together.</param>
    /// <param name="secondsToRead">About how long they may take for it.</param>
    /// <param name="cancellationToken">Looked at by drafters that compute.</param>
    /// <exception cref="OperationCanceledException">The round is given up.</exception>
    public void Propose(List<Drafting> sequences, int rowsToRead, double secondsToRead, CancellationToken cancellationToken)
    {
        (_rowsLeft, _secondsLeft, RowsRead) = (rowsToRead, secondsToRead, 0);
        if (!sequences.Exists(Drafting.IsOpen))
        {
            return; // most rounds of many requests
        }

        foreach (var kind in Order)
        {
            foreach (var sequence in sequences)
            {
                sequence.Propose(kind);
            }

            Gather(sequences, kind);
            for (var i = 0; i < _groupCount; i++)
            {
                Read(_groups[i], cancellationToken);
                Propose(_groups[i], cancellationToken);
            }
        }
    }

    /// <summary>Groups the drafters that are asked together, by their source, in the order in which they are met.</summary>
    private void Gather(List<Drafting> sequences, DraftKind kind)
    {
        _groupCount = 0;
        foreach (var sequence in sequences)
        {
            for (var i = 0; i < sequence.Drafters.Count; i++)
            {
                if (sequence.Drafters[i] is { Together: { } source } slot && slot.Kind == kind && sequence.Wants(i))
                {
                    GroupOf(source).Members.Add(new Member(sequence, i, 0));
                }
            }
        }
    }

    private Group GroupOf(BatchDrafterSource source)
    {
        for (var i = 0; i < _groupCount; i++)
        {
            if (_groups[i].Source == source)
            {
                return _groups[i];
            }
        }

        if (_groupCount == _groups.Count)
        {
            _groups.Add(new Group());
        }

        var group = _groups[_groupCount++];
        group.Source = source;
        group.Members.Clear();
        return group;
    }

    /// <summary>Lets the sequences for which the source owes text read some of it; they leave the group.</summary>
    private void Read(Group group, CancellationToken cancellationToken)
    {
        group.Batch.Clear();
        group.Readers.Clear();
        var (kept, owed) = (0, 0L);
        for (var i = 0; i < group.Members.Count; i++)
        {
            var member = group.Members[i];
            var rows = OwedTo(group.Source!, member);
            if (rows == 0)
            {
                group.Members[kept++] = member;
            }
            else if (rows > 0)
            {
                owed += rows;
                group.Readers.Add(member);
                group.Batch.Add(member.Sequence.ItemOf(member.Drafter));
            }
        }

        group.Members.RemoveRange(kept, group.Members.Count - kept);
        var affordable = double.IsPositiveInfinity(_secondsLeft) ? double.PositiveInfinity
            : _secondsPerRow.IsKnown ? _secondsLeft / Math.Max(_secondsPerRow.Value, double.Epsilon)
            : FirstReading;
        var count = (int)Math.Min(Math.Min(owed, _rowsLeft), Math.Max(affordable, 1));
        if (count == 0)
        {
            return;
        }

        var start = clock.GetTimestamp();
        try
        {
            group.Source!.Read(group.Batch, count, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
#pragma warning disable CA1031 // A drafter may be anybody's code; what it throws is its requests', not their neighbours'.
        catch (Exception error)
#pragma warning restore CA1031
        {
            group.Readers.ForEach(reader => reader.Sequence.Fail(error));
        }

        // A drafter may owe text and not want to read it, because its candidates could not pay.
        var read = Math.Min(group.Batch.Rows, count);
        _rowsLeft -= read;
        RowsRead += read;
        var ticks = clock.GetTimestamp() - start;
        _secondsLeft -= (double)ticks / clock.TimestampFrequency;
        if (read > 0)
        {
            _secondsPerRow.AddTime((double)ticks / clock.TimestampFrequency / read);
        }

        for (var i = 0; i < group.Readers.Count; i++)
        {
            group.Readers[i].Sequence.CountReading(group.Readers[i].Drafter, group.Batch.ShareOf(i, ticks));
        }
    }

    /// <summary>Rows that are owed for a sequence; −1 where that cannot be said, and the sequence has failed.</summary>
    private static int OwedTo(BatchDrafterSource source, in Member member)
    {
        try
        {
            return Math.Max(source.Owed(member.Sequence.ItemOf(member.Drafter)), 0);
        }
#pragma warning disable CA1031 // As above.
        catch (Exception error)
#pragma warning restore CA1031
        {
            member.Sequence.Fail(error);
            return -1;
        }
    }

    private void Propose(Group group, CancellationToken cancellationToken)
    {
        group.Batch.Clear();
        for (var i = 0; i < group.Members.Count; i++)
        {
            var (sequence, drafter, _) = group.Members[i];
            group.Members[i] = new Member(sequence, drafter, sequence.BeginTurn(drafter));
            group.Batch.Add(sequence.ItemOf(drafter));
        }

        if (group.Members.Count == 0)
        {
            return;
        }

        var start = clock.GetTimestamp();
        try
        {
            group.Source!.Propose(group.Batch, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
#pragma warning disable CA1031 // As above.
        catch (Exception error)
#pragma warning restore CA1031
        {
            group.Members.ForEach(member => member.Sequence.Fail(error));
        }

        var ticks = clock.GetTimestamp() - start;
        for (var i = 0; i < group.Members.Count; i++)
        {
            var (sequence, drafter, before) = group.Members[i];
            sequence.EndTurn(drafter, before, group.Batch.ShareOf(i, ticks));
        }
    }

    /// <summary>A drafter that is asked together with others.</summary>
    /// <param name="Sequence">Its sequence.</param>
    /// <param name="Drafter">Its number there.</param>
    /// <param name="Before">What the beginning of its turn returned.</param>
    private readonly record struct Member(Drafting Sequence, int Drafter, int Before);

    private sealed class Group
    {
        public BatchDrafterSource? Source { get; set; }

        public DraftBatch Batch { get; } = new();

        public List<Member> Members { get; } = [];

        public List<Member> Readers { get; } = [];
    }
}
