using System.Runtime.InteropServices;
using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Medusa;

/// <summary>Finds Medusa heads among named tensors. The tensors decide how many heads there are: the configurations that were published
/// with heads say less than the files hold. The configuration is compared where it says something else that matters.</summary>
internal sealed class MedusaBinder
{
    private readonly string _source;
    private readonly LoadLimits _limits;
    private readonly Dictionary<MedusaName, TensorView> _parts = [];
    private readonly SortedDictionary<int, TensorView> _vocabs = [];
    private readonly SortedSet<int> _heads = [];
    private int _vocabLayer = -1;

    private MedusaBinder(string source, LoadLimits limits) => (_source, _limits) = (source, limits);

    /// <summary>Binds heads.</summary>
    /// <param name="source">The file or folder, for messages.</param>
    /// <param name="tensors">All of them must be parts of heads.</param>
    /// <param name="config">What stands beside the tensors; null without a config.json.</param>
    /// <param name="limits">What the file may ask for.</param>
    public static MedusaHeads Bind(string source, IEnumerable<TensorView> tensors, MedusaConfig? config, LoadLimits limits)
    {
        var binder = new MedusaBinder(source, limits);
        foreach (var tensor in tensors)
        {
            binder.Take(tensor);
        }

        return binder.Finish(config ?? new MedusaConfig());
    }

    private void Take(TensorView tensor)
    {
        var name = MedusaName.Parse(tensor.Name);
        if (name.Part == MedusaPart.None)
        {
            throw Error(tensor, "is not part of a Medusa head; known are {h}.{l}.linear.weight and {h}.{L}.weight (Medusa), "
                + "blocks.{h}.layers.{l}.weight and lm_heads.{h}.weight (vLLM), "
                + "medusa_heads.{h}.medusa_layers.{l}.linear.weight and medusa_heads.{h}.lm_head.weight "
                + "(TensorRT-LLM)");
        }

        if (name.Part == MedusaPart.Vocab)
        {
            if (_vocabs.Count > 0 && name.Layer != _vocabLayer)
            {
                throw Error(tensor, $"puts the vocabulary matrix of head {name.Head} behind another number of blocks than "
                    + $"{MessageText.Quote(_vocabs.First().Value.Name)}");
            }

            _vocabLayer = name.Layer;
        }

        var key = name.Part == MedusaPart.Vocab ? name with { Layer = -1 } : name;
        if (!_parts.TryAdd(key, tensor) || (name.Part == MedusaPart.Vocab && !_vocabs.TryAdd(name.Head, tensor)))
        {
            throw Error(tensor, $"is the same part of the same head as {MessageText.Quote(_parts[key].Name)}");
        }

        if (name.Part is MedusaPart.BlockWeight or MedusaPart.BlockBias or MedusaPart.Vocab)
        {
            _heads.Add(name.Head);
        }
    }

    private MedusaHeads Finish(MedusaConfig config)
    {
        if (_heads.Count == 0)
        {
            throw new ModelFormatException(_source, "holds no Medusa head");
        }

        if (_heads.Max != _heads.Count - 1)
        {
            var missing = Enumerable.Range(0, _heads.Max).First(h => !_heads.Contains(h));
            throw new ModelFormatException(_source, $"holds heads {string.Join(", ", _heads)}: head {missing} is missing");
        }

        var hidden = Width();
        var shared = SharedVocab(config);
        var blocks = BlockCount(config);
        var rows = (shared ?? _vocabs.GetValueOrDefault(0))?.Shape[0];
        MedusaHead[] heads = [.. _heads.Select(h =>
            new MedusaHead(Blocks(h, blocks, hidden), Vocab(shared ?? _vocabs.GetValueOrDefault(h), rows, hidden)))];
        CheckConfig(config, hidden, rows);
        return new MedusaHeads { Source = _source, HiddenSize = hidden, Heads = heads, Rows = (int?)rows, TokenMap = TokenMap(rows) };
    }

    // Every matrix has one column per element of the hidden state; the first says how many.
    private int Width()
    {
        if (!_parts.Keys.Any(part => part.Part is MedusaPart.BlockWeight or MedusaPart.Vocab))
        {
            throw new ModelFormatException(_source, "holds no matrix of a Medusa head");
        }

        var first = _parts.First(part => part.Key.Part is MedusaPart.BlockWeight or MedusaPart.Vocab).Value;
        var width = first.Shape.Length == 2 ? first.Shape[1] : 0;
        return width >= 1 && width <= _limits.MaxWidth ? (int)width
            : throw Error(first, $"is {first}; expected a matrix with 1 to {_limits.MaxWidth} columns");
    }

    /// <summary>The one matrix of all heads, null where each has its own or all use the model's.</summary>
    private TensorView? SharedVocab(MedusaConfig config)
    {
        if (_parts.TryGetValue(new(MedusaPart.SharedVocab), out var shared))
        {
            return _vocabs.Count == 0 ? shared : throw Error(shared, "would be the vocabulary matrix of all heads, and "
                + $"{MessageText.Quote(_vocabs.First().Value.Name)} of one");
        }

        // vLLM writes the model's own matrix as that of head 0, and says so.
        if (config.UsesOriginalLmHead && _vocabs.Count == 1 && _vocabs.TryGetValue(0, out var original))
        {
            return original;
        }

        return _vocabs.Count == 0 || _vocabs.Count == _heads.Count ? null
            : throw new ModelFormatException(_source, $"holds {_heads.Count} heads; head {_heads.First(h => !_vocabs.ContainsKey(h))} "
                + $"has no vocabulary matrix, head {_vocabs.Keys.First()} has one");
    }

    private int BlockCount(MedusaConfig config)
    {
        var found = _heads.Max(h => Enumerable.Range(0, MedusaName.Most).Count(l => _parts.ContainsKey(new(MedusaPart.BlockWeight, h, l))));
        if (_vocabLayer >= 0 && config.Layers is { } said && said != _vocabLayer)
        {
            throw new ModelFormatException(_source, $"{MessageText.Quote(_vocabs.First().Value.Name)} says that a head has {_vocabLayer} "
                + $"blocks; config.json says {said}");
        }

        return _vocabLayer >= 0 ? _vocabLayer : config.Layers ?? found;
    }

    private MedusaBlock[] Blocks(int head, int count, int hidden)
    {
        var found = _parts.Keys.Where(part => part.Head == head && part.Part is (MedusaPart.BlockWeight or MedusaPart.BlockBias)).ToArray();
        var last = found.Length == 0 ? default : found.MaxBy(part => part.Layer);
        if (found.Length > 0 && last.Layer >= count)
        {
            throw Error(_parts[last], $"is one block too many: a head has {count}");
        }

        // Medusa's own heads are one module, used `count` times. Where a writer drops the repetition of equal tensors, the first stands for all.
        var repeated = last.Layer == 0;
        var blocks = new MedusaBlock[count];
        for (var l = 0; l < count; l++)
        {
            if (!_parts.TryGetValue(new(MedusaPart.BlockWeight, head, repeated ? 0 : l), out var weight))
            {
                throw new ModelFormatException(_source, $"block {l} of head {head} has no weight; a head has {count} blocks");
            }

            var bias = _parts.GetValueOrDefault(new(MedusaPart.BlockBias, head, repeated ? 0 : l));
            Require(weight, hidden, hidden);
            if (bias is not null)
            {
                Require(bias, hidden);
                if (WeightBinder.FirstNotFinite(bias) is var index and >= 0)
                {
                    throw Error(bias, $"element {index} is not finite (NaN or infinity): the checkpoint is damaged");
                }
            }

            blocks[l] = new MedusaBlock(weight, bias);
        }

        return blocks;
    }

    private TensorView? Vocab(TensorView? vocab, long? rows, int hidden)
    {
        if (vocab is not null)
        {
            Require(vocab, rows is >= 1 && rows <= _limits.MaxVocabSize ? rows.Value
                : throw Error(vocab, $"is {vocab}; expected 1 to {_limits.MaxVocabSize} rows"), hidden);
        }

        return vocab;
    }

    /// <summary>The map, unless the matrices have a row for every token anyway.</summary>
    private int[]? TokenMap(long? rows)
    {
        if (!_parts.TryGetValue(new(MedusaPart.TokenMap), out var tensor))
        {
            return null;
        }

        if (tensor.Shape.Length != 1 || tensor.DType is not (DType.I64 or DType.I32)
            || tensor.ElementCount > Math.Min(_limits.MaxVocabSize, rows ?? long.MaxValue))
        {
            throw Error(tensor, $"is {tensor}; expected I64 or I32, one token for each of the {rows?.ToString() ?? "model's"} rows");
        }

        if (rows != tensor.ElementCount)
        {
            return null;
        }

        long[] map = tensor.DType == DType.I64 ? MemoryMarshal.Cast<byte, long>(tensor.Bytes).ToArray()
            : [.. MemoryMarshal.Cast<byte, int>(tensor.Bytes).ToArray().Select(token => (long)token)];
        var wrong = Array.FindIndex(map, token => token < 0 || token >= _limits.MaxVocabSize);
        return wrong < 0 ? Array.ConvertAll(map, token => (int)token)
            : throw Error(tensor, $"element {wrong} is {map[wrong]}, which is no token");
    }

    private void CheckConfig(MedusaConfig config, int hidden, long? rows)
    {
        if (config.HiddenSize is { } width && width != hidden)
        {
            throw new ModelFormatException(_source, $"the heads read a hidden state of {hidden}; config.json says hidden_size {width}");
        }

        if (rows is { } has && config.VocabSize is { } vocab && has != vocab && has != config.TruncatedVocabSize)
        {
            throw new ModelFormatException(_source, $"the heads predict {has} tokens; config.json says vocab_size {vocab}"
                + (config.TruncatedVocabSize is { } part ? $" and truncated_vocab_size {part}" : ""));
        }
    }

    private void Require(TensorView tensor, params ReadOnlySpan<long> shape)
    {
        if (tensor.DType is not (DType.F32 or DType.F16 or DType.BF16))
        {
            throw Error(tensor, $"is {tensor}; weights must be F32, F16 or BF16: convert the checkpoint");
        }

        if (!tensor.Shape.SequenceEqual(shape))
        {
            throw Error(tensor, $"is {tensor}; expected [{string.Join(", ", shape.ToArray())}]");
        }
    }

    private ModelFormatException Error(TensorView tensor, string problem) => new(_source, $"tensor {MessageText.Quote(tensor.Name)} {problem}");
}
