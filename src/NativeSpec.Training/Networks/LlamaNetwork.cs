using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;
using NativeSpec.Training.Layers;

namespace NativeSpec.Training.Networks;

/// <summary>A Llama that learns: forward with everything kept, and backward. The same computation as the engine's, in float32 and over
/// whole sequences.</summary>
internal sealed class LlamaNetwork : IDisposable
{
    private const double EmbeddingDeviation = 0.02;

    private readonly Workbench _bench;
    private readonly Embedding _embedding;
    private readonly LlamaBlock[] _blocks;
    private readonly RmsNorm _finalNorm;
    private readonly Parameter _embeddingTable;
    private readonly Parameter _finalGain;
    private readonly Matrix[] _residuals; // [layers + 1] of [rows, hidden]: before each layer and after the last
    private readonly Matrix _hidden;      // [rows, hidden]

    /// <summary>Makes a network of zeros for batches of up to so many sequences.</summary>
    /// <exception cref="ArgumentException">The configuration has biases, which this trainer does not learn.</exception>
    public LlamaNetwork(Workbench bench, LlamaConfig config, int sequences, int length)
    {
        config.Validate();
        if (config.AttentionBias || config.MlpBias)
        {
            throw new ArgumentException("the model has biases (attention_bias or mlp_bias); this trainer learns models without them");
        }

        if (config.ModelType is not ("llama" or "mistral") || config.SlidingWindow is not null)
        {
            throw new ArgumentException($"the model is of the family {config.ModelType}{(config.SlidingWindow is null ? "" : " with a sliding window")}; this trainer learns plain Llamas", nameof(config));
        }

        Config = config;
        _bench = bench;
        var (rows, hidden) = (checked(sequences * length), config.HiddenSize);
        _embeddingTable = Add(new Parameter(bench, [new("model.embed_tokens.weight", config.VocabSize)], hidden, decays: true));
        _embedding = new Embedding(bench, _embeddingTable);
        var rope = new Rope(bench, config, length);
        _blocks = new LlamaBlock[config.NumHiddenLayers];
        for (var i = 0; i < _blocks.Length; i++)
        {
            _blocks[i] = new LlamaBlock(bench, config, i, rope, sequences, length);
            Parameters.AddRange(_blocks[i].Parameters);
        }

        _finalGain = Add(new Parameter(bench, [new("model.norm.weight", 1)], hidden, decays: false));
        _finalGain.Value.All.Fill(1);
        _finalNorm = new RmsNorm(bench, _finalGain, config.RmsNormEps);
        Output = new Linear(bench, config.TieWordEmbeddings
            ? _embeddingTable
            : Add(new Parameter(bench, [new("lm_head.weight", config.VocabSize)], hidden, decays: true)));
        _residuals = [.. Enumerable.Range(0, _blocks.Length + 1).Select(_ => new Matrix(rows, hidden))];
        _hidden = new Matrix(rows, hidden);
    }

    /// <summary>The shape.</summary>
    public LlamaConfig Config { get; }

    /// <summary>Everything that is learnt; a tied output matrix once.</summary>
    public List<Parameter> Parameters { get; } = [];

    /// <summary>The output matrix: hidden to logits.</summary>
    public Linear Output { get; }

    /// <summary>Draws the weights from a seed. Products keep about half the size of their input, and what is added to the residual
    /// stream is the smaller the more layers add to it (Radford et al., 2019).</summary>
    public void Initialise(ulong seed)
    {
        var residual = _blocks.SelectMany(block => block.ResidualOutputs).ToHashSet();
        for (var i = 0; i < Parameters.Count; i++)
        {
            var parameter = Parameters[i];
            if (!parameter.IsVector)
            {
                var deviation = parameter == _embeddingTable || parameter == Output.Weight ? EmbeddingDeviation : 0.5 / Math.Sqrt(parameter.Value.Columns);
                parameter.FillNormal(_bench, residual.Contains(parameter) ? deviation / Math.Sqrt(2 * _blocks.Length) : deviation, seed, (uint)i);
            }
        }
    }

    /// <summary>Takes the weights of a checkpoint.</summary>
    /// <param name="tensors">The checkpoint's tensors by name.</param>
    public void Load(IReadOnlyDictionary<string, TensorView> tensors) => ParameterFiles.Load(Parameters, tensors);

    /// <summary>The hidden states after the final norm, [rows, hidden]; valid until the next forward.</summary>
    public Matrix Forward(TokenBatch batch)
    {
        _embedding.Forward(batch, _residuals[0]);
        for (var i = 0; i < _blocks.Length; i++)
        {
            _blocks[i].Forward(_residuals[i], _residuals[i + 1], batch);
        }

        _finalNorm.Forward(_residuals[^1], _hidden, batch.Rows);
        return _hidden;
    }

    /// <summary>Adds to all gradients, from ∂loss/∂hidden of the last forward. The output matrix has its own backward.</summary>
    public void Backward(Matrix dHidden, TokenBatch batch)
    {
        var gradient = _bench.Scratch("d residual", _hidden.Rows, _hidden.Columns);
        gradient.RowRange(0, batch.Rows).Clear();
        _finalNorm.Backward(_residuals[^1], dHidden, gradient, batch.Rows);
        for (var i = _blocks.Length - 1; i >= 0; i--)
        {
            _blocks[i].Backward(_bench, _residuals[i], gradient, batch);
        }

        _embedding.Backward(batch, gradient);
    }

    public void Dispose()
    {
        _embeddingTable.Dispose();
        Array.ForEach(_blocks, block => block.Dispose());
        _finalGain.Dispose();
        Output.Weight.Dispose();
        Array.ForEach(_residuals, matrix => matrix.Dispose());
        _hidden.Dispose();
    }

    private Parameter Add(Parameter parameter)
    {
        Parameters.Add(parameter);
        return parameter;
    }
}
