namespace NativeSpec.Speculation;

/// <summary>Makes drafters that compute, and asks them together: once a round, for all sequences that want candidates, so that a model's
/// weights are read once for all of them.</summary>
/// <remarks>The sessions that <see cref="IDrafterSource.Start"/> makes hold what belongs to one sequence. The engine calls
/// <see cref="Propose"/> of the source, never <see cref="IDrafter.Propose"/> of its sessions, which is for drafting without an engine.
/// What a call throws ends the requests of its batch and no others. After a cancelled call the trees may hold part of the candidates.</remarks>
public abstract class BatchDrafterSource : IDrafterSource
{
    private DraftBatch? _alone;

    /// <inheritdoc/>
    public abstract string Name { get; }

    /// <inheritdoc/>
    public virtual DraftKind Kind => DraftKind.Computed;

    /// <inheritdoc/>
    public abstract IDrafter Start(ReadOnlyMemory<int> prompt);

    /// <summary>Adds candidates below the roots of a batch's trees: one forward pass a level for all of them. Sequences for which rows are
    /// still <see cref="Owed"/> are not in the batch.</summary>
    /// <param name="batch">The sequences that are drafted for; at least one.</param>
    /// <param name="cancellationToken">Looked at inside forward passes.</param>
    /// <exception cref="OperationCanceledException">The round is given up.</exception>
    public abstract void Propose(DraftBatch batch, CancellationToken cancellationToken);

    /// <summary>Rows of text that have to be read before candidates for a sequence can be computed: of a prompt, or of what was written while
    /// the drafter was not asked. Text so short that it fits beside the first level of candidates does not count.</summary>
    public virtual int Owed(in DraftItem item) => 0;

    /// <summary>Reads text of a batch's sequences in one forward pass. The engine gives it a part of a round's prompt rows, round after round,
    /// until nothing is owed.</summary>
    /// <param name="batch">Sequences for which rows are owed; at least one.</param>
    /// <param name="rows">The most rows to compute, all sequences together; at least 1.</param>
    /// <param name="cancellationToken">Looked at inside the forward pass.</param>
    /// <exception cref="OperationCanceledException">The round is given up.</exception>
    public virtual void Read(DraftBatch batch, int rows, CancellationToken cancellationToken)
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the source holds.</summary>
    protected virtual void Dispose(bool disposing)
    {
    }

    /// <summary>Drafts for one sequence, all that is owed read first: what a session's own <see cref="IDrafter.Propose"/> does.</summary>
    protected internal void ProposeAlone(IDrafter session, DraftContext context, DraftTree tree)
    {
        _alone ??= new DraftBatch();
        _alone.Clear();
        _alone.Add(new DraftItem(session, context, tree));
        for (var owed = Owed(_alone[0]); owed > 0;)
        {
            Read(_alone, owed, CancellationToken.None);
            var left = Owed(_alone[0]);
            if (left >= owed)
            {
                return; // it does not want to read, because candidates could not pay
            }

            owed = left;
        }

        Propose(_alone, CancellationToken.None);
    }
}
