using System.Diagnostics;
using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Native;
using NativeSpec.Engine;
using NativeSpec.Engine.Building;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Tensors;

namespace NativeSpec.Cli.Benchmarks;

/// <summary>Random weights of a shape, held as asked for, on a backend; and how fast the same threads read memory.</summary>
internal sealed class BenchModel : IDisposable
{
    private readonly SyntheticModel _stored;
    private readonly List<NativeBuffer<byte>> _packed = [];
    private readonly int? _threads;
    private ReadBandwidth? _memory;

    /// <summary>Makes the weights.</summary>
    /// <param name="config">The shape.</param>
    /// <param name="options">Backend, threads and weights.</param>
    public BenchModel(LlamaConfig config, EngineOptions options)
    {
        Config = config;
        Backend = EngineBackend.Create(options);
        _stored = new SyntheticModel(config, DType.BF16, seed: 1);
        Tensors = options.Weights == WeightFormat.AsStored ? _stored.Tensors : Packed(options);
        _threads = options.Threads;
    }

    public LlamaConfig Config { get; }

    public IBackend Backend { get; }

    public LlamaTensors Tensors { get; }

    /// <summary>The matrices that a forward multiplies with, in its order.</summary>
    public IEnumerable<TensorView> Matrices => Tensors.Layers.SelectMany(Matrix).Append(Tensors.LmHead);

    /// <summary>Bytes that a token after so many others reads: every weight, one row of an embedding that is not the output matrix too, and the
    /// others' keys and values.</summary>
    public long BytesPerToken(int context)
    {
        var norms = Tensors.FinalNorm.ByteLength + Tensors.Layers.Sum(layer => layer.InputNorm.ByteLength + layer.PostAttentionNorm.ByteLength);
        var row = ReferenceEquals(Tensors.Embedding, Tensors.LmHead) ? 0 : Tensors.Embedding.ByteLength / Config.VocabSize;
        return Matrices.Sum(matrix => matrix.ByteLength) + norms + row + (context * LlamaModel.KvBytesPerToken(Config, Backend));
    }

    /// <summary>GB (10⁹ bytes) per second that these threads read now: on the native kernels of the very matrices, with the managed ones of a buffer
    /// that no cache holds; on a device, what it copies, read and written.</summary>
    public double MeasureReading()
    {
        if (Backend.MeasureCopying() is { } copied)
        {
            return copied / 1e9;
        }

        if (Backend is not NativeBackend native)
        {
            _memory ??= new ReadBandwidth(new CpuOptions { Threads = _threads }.ResolveThreads());
            return _memory.Measure();
        }

        var (bytes, began) = (0L, Stopwatch.GetTimestamp());
        foreach (var matrix in Matrices)
        {
            native.Read(matrix);
            bytes += matrix.ByteLength;
        }

        return bytes / Stopwatch.GetElapsedTime(began).TotalSeconds / 1e9;
    }

    public void Dispose()
    {
        Backend.Dispose();
        _memory?.Dispose();
        _packed.ForEach(memory => memory.Dispose());
        _stored.Dispose();
    }

    private static TensorView[] Matrix(LlamaLayerTensors layer) => [layer.QProj, layer.KProj, layer.VProj, layer.OProj, layer.GateProj, layer.UpProj, layer.DownProj];

    // The native kernels pack, whatever multiplies.
    private LlamaTensors Packed(EngineOptions options)
    {
        if (Backend is NativeBackend native)
        {
            return Pack(native, options.Weights);
        }

        if (Backend is CudaBackend { Packer: { } packer })
        {
            return Pack(packer, options.Weights);
        }

        using var other = NativeBackend.TryCreate(new NativeOptions { Threads = options.Threads, Weights = options.Weights }, out var missing)
            ?? throw new InvalidOperationException($"random weights are packed by the native kernels: {missing}");
        return Pack(other, options.Weights);
    }

    /// <summary>Packs what is multiplied with; the matrices of a layer lie side by side, as in a packed checkpoint.</summary>
    private LlamaTensors Pack(NativeBackend backend, WeightFormat format)
    {
        var layers = _stored.Tensors.Layers.Select(layer =>
        {
            var packed = Packed(Matrix(layer));
            return new LlamaLayerTensors
            {
                InputNorm = layer.InputNorm,
                QProj = packed[0],
                KProj = packed[1],
                VProj = packed[2],
                OProj = packed[3],
                PostAttentionNorm = layer.PostAttentionNorm,
                GateProj = packed[4],
                UpProj = packed[5],
                DownProj = packed[6],
                QBias = layer.QBias,
                KBias = layer.KBias,
                VBias = layer.VBias,
                OBias = layer.OBias,
                GateBias = layer.GateBias,
                UpBias = layer.UpBias,
                DownBias = layer.DownBias,
            };
        }).ToArray();
        return _stored.Tensors with { Layers = layers, LmHead = Packed([_stored.Tensors.LmHead])[0] };

        TensorView[] Packed(TensorView[] matrices)
        {
            var memory = new NativeBuffer<byte>(matrices.Sum(matrix => PackedWeights.Bytes(matrix.Shape[0], matrix.Shape[1], format)));
            _packed.Add(memory);
            var at = 0L;
            return Array.ConvertAll(matrices, matrix =>
            {
                var packed = backend.Pack(matrix, format, memory, at);
                at += packed.ByteLength;
                return packed;
            });
        }
    }
}
