namespace NativeSpec.Backends;

/// <summary>A program that walks along trees where their rows lie, in the run that computes them: from the root on to the child that has the token chosen after
/// its parent (<see cref="IRowAnswers.Ask"/>), and moves the keys and values of that path behind the prefix. The walk is the beginning of the host's, or the other way
/// round: the text may end within it, and where the device cannot say how the text goes on it ends before the text does.</summary>
internal interface ITreeWalks
{
    /// <summary>Says that the next run walks along a tree; a run forgets it, as does <see cref="IRowAnswers.Forget"/>.</summary>
    /// <param name="root">The root's row, as <see cref="RowBatch.LogitRows"/> counts them. The other nodes follow in their order; node i has the cache row of the
    /// slot behind the prefix and i others.</param>
    /// <param name="parents">[nodes] numbers of the parents, which come first; −1 for the root, and for nodes that the walk does not go to.</param>
    void Walk(int root, ReadOnlySpan<int> parents);

    /// <summary>The nodes of a tree's path in the last run, the root first, whose keys and values lie in the slots behind the prefix, one after the other. Empty where it did
    /// not walk: nobody has said so, or the tree was computed in more than one pass.</summary>
    /// <param name="root">The root's row.</param>
    ReadOnlySpan<int> Path(int root);
}
