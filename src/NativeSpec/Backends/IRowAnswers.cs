namespace NativeSpec.Backends;

/// <summary>A program that answers questions about rows of logits where they lie (<see cref="ForwardPlan.Ask"/>), so that a row of a whole vocabulary need
/// not come to the host for a few numbers. A program whose rows lie in this process's memory is none: there the host asks the row itself.</summary>
internal interface IRowAnswers
{
    /// <summary>Says how the next run chooses the token of a row; what is not said is not chosen, and a run forgets it.</summary>
    /// <param name="row">The row, as <see cref="RowBatch.LogitRows"/> counts them.</param>
    /// <param name="question">How.</param>
    void Ask(int row, in RowQuestion question);

    /// <summary>Forgets what was said of the next run, as the run itself does.</summary>
    void Forget();

    /// <summary>What a row of the last run says of itself.</summary>
    RowSummary Answer(int row);

    /// <summary>Writes the highest logits of a row of the last run and their ids, highest first, equal ones by the lowest id; what is not a number comes
    /// last.</summary>
    /// <returns>How many there are.</returns>
    int Top(int row, Span<int> ids, Span<float> logits);

    /// <summary>One logit of a row of the last run.</summary>
    float At(int row, int id);
}

/// <summary>How a row's token is chosen: the highest logit where the temperature is 0, else the arg-max of logit / temperature plus the Gumbel noise of
/// (seed, position, id), over all ids.</summary>
/// <param name="Seed">The request's seed.</param>
/// <param name="Position">Absolute position of the token to choose.</param>
/// <param name="Temperature">0 or more.</param>
internal readonly record struct RowQuestion(ulong Seed, long Position, float Temperature);

/// <summary>What a row says of itself.</summary>
/// <param name="Chosen">The token; −1 where none was asked for.</param>
/// <param name="Highest">The highest logit; not a number where any of them is none.</param>
/// <param name="LogSum">log Σ exp(logit).</param>
internal readonly record struct RowSummary(int Chosen, float Highest, double LogSum);
