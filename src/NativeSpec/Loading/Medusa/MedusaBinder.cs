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
    private readonly HeadParts?[] _parts = new HeadParts?[MedusaName.Most]; // [head]
    private TensorView? _firstMatrix, _firstVocab, _sharedVocab, _tokenMap;
    private int _heads, _vocabs; // how many
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

        if (name.Part == MedusaPart.Vocab && _firstVocab is not null && name.Layer != _vocabLayer)
        {
            throw Error(tensor, $"puts the vocabulary matrix of head {name.Head} behind another number of blocks than {MessageText.Quote(_firstVocab.Name)}");
        }

        ref var place = ref PlaceOf(name);
        if (place is not null)
        {
            throw Error(tensor, $"is the same part of the same head as {MessageText.Quote(place.Name)}");
        }

        place = tensor;
        if (name.Part is MedusaPart.BlockWeight or MedusaPart.Vocab)
        {
            _firstMatrix ??= tensor;
        }

        if (name.Part == MedusaPart.Vocab)
        {
            (_firstVocab, _vocabLayer) = (_firstVocab ?? tensor, name.Layer);
            _vocabs++;
        }
    }

    private ref TensorView? PlaceOf(MedusaName name)
    {
        switch (name.Part)
        {
            case MedusaPart.SharedVocab: return ref _sharedVocab;
            case MedusaPart.TokenMap: return ref _tokenMap;
            default: break;
        }

        if (_parts[name.Head] is not { } head)
        {
            _parts[name.Head] = head = new HeadParts();
            _heads++;
        }

        switch (name.Part)
        {
            case MedusaPart.BlockWeight: return ref head.Weights[name.Layer];
            case MedusaPart.BlockBias: return ref head.Biases[name.Layer];
            default: return ref head.Vocab;
        }
    }

    private MedusaHeads Finish(MedusaConfig config)
    {
        if (_heads == 0)
        {
            throw new ModelFormatException(_source, "holds no Medusa head");
        }

        if (Array.IndexOf(_parts, null, 0, _heads) is var missing and >= 0)
        {
            var there = Enumerable.Range(0, MedusaName.Most).Where(head => _parts[head] is not null);
            throw new ModelFormatException(_source, $"holds heads {string.Join(", ", there)}: head {missing} is missing");
        }

        var hidden = Width();
        var shared = SharedVocab(config);
        var blocks = BlockCount(config);
        var rows = (shared ?? _parts[0]!.Vocab)?.Shape[0];
        var heads = new MedusaHead[_heads];
        for (var h = 0; h < heads.Length; h++)
        {
            heads[h] = new MedusaHead(Blocks(h, blocks, hidden), Vocab(shared ?? _parts[h]!.Vocab, rows, hidden));
        }

        CheckConfig(config, hidden, rows);
        return new MedusaHeads { Source = _source, HiddenSize = hidden, Heads = heads, Rows = (int?)rows, TokenMap = TokenMap(rows) };
    }

    // Every matrix has one column per element of the hidden state; the first says how many.
    private int Width()
    {
        if (_firstMatrix is not { } first)
        {
            throw new ModelFormatException(_source, "holds no matrix of a Medusa head");
        }

        var width = first.Shape.Length == 2 ? first.Shape[1] : 0;
        return width >= 1 && width <= _limits.MaxWidth ? (int)width
            : throw Error(first, $"is {first}; expected a matrix with 1 to {_limits.MaxWidth} columns");
    }

    /// <summary>The one matrix of all heads, null where each has its own or all use the model's.</summary>
    private TensorView? SharedVocab(MedusaConfig config)
    {
        if (_sharedVocab is not null)
        {
            return _firstVocab is null ? _sharedVocab
                : throw Error(_sharedVocab, $"would be the vocabulary matrix of all heads, and {MessageText.Quote(_firstVocab.Name)} of one");
        }

        // vLLM writes the model's own matrix as that of head 0, and says so.
        if (config.UsesOriginalLmHead && _vocabs == 1 && _parts[0]!.Vocab is { } original)
        {
            return original;
        }

        return _vocabs == 0 || _vocabs == _heads ? null
            : throw new ModelFormatException(_source, $"holds {_heads} heads; head {Array.FindIndex(_parts, head => head!.Vocab is null)} "
                + $"has no vocabulary matrix, head {Array.FindIndex(_parts, head => head!.Vocab is not null)} has one");
    }

    private int BlockCount(MedusaConfig config)
    {
        var found = 0;
        for (var h = 0; h < _heads; h++)
        {
            var blocks = 0;
            foreach (var weight in _parts[h]!.Weights)
            {
                blocks += weight is null ? 0 : 1;
            }

            found = Math.Max(found, blocks);
        }

        if (_vocabLayer >= 0 && config.Layers is { } said && said != _vocabLayer)
        {
            throw new ModelFormatException(_source, $"{MessageText.Quote(_firstVocab!.Name)} says that a head has {_vocabLayer} "
                + $"blocks; config.json says {said}");
        }

        return _vocabLayer >= 0 ? _vocabLayer : config.Layers ?? found;
    }

    private MedusaBlock[] Blocks(int head, int count, int hidden)
    {
        var parts = _parts[head]!;
        var last = Math.Max(Array.FindLastIndex(parts.Weights, weight => weight is not null), Array.FindLastIndex(parts.Biases, bias => bias is not null));
        if (last >= count)
        {
            throw Error((parts.Weights[last] ?? parts.Biases[last])!, $"is one block too many: a head has {count}");
        }

        // Medusa's own heads are one module, used `count` times. Where a writer drops the repetition of equal tensors, the first stands for all.
        var repeated = last == 0;
        var blocks = new MedusaBlock[count];
        for (var l = 0; l < count; l++)
        {
            if (parts.Weights[repeated ? 0 : l] is not { } weight)
            {
                throw new ModelFormatException(_source, $"block {l} of head {head} has no weight; a head has {count} blocks");
            }

            var bias = parts.Biases[repeated ? 0 : l];
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
        if (_tokenMap is not { } tensor)
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

    /// <summary>The tensors of one head that were found.</summary>
    private sealed class HeadParts
    {
        /// <summary>[layer] the matrix of each block.</summary>
        public readonly TensorView?[] Weights = new TensorView?[MedusaName.Most];

        /// <summary>[layer] its bias.</summary>
        public readonly TensorView?[] Biases = new TensorView?[MedusaName.Most];

        /// <summary>The head's own vocabulary matrix.</summary>
        public TensorView? Vocab;
    }
}
