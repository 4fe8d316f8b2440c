using NativeSpec.Backends;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends;

/// <summary>What the conformance tests of all operations share: a backend, random inputs from a seed, and ways in and out.</summary>
public abstract class OperationFixture(TestBackend backend)
{
    private readonly List<IDisposable> _owned = [];

    protected TestBackend Description { get; } = backend;

    private protected IBackend Backend { get; private set; } = null!;

    protected Random Random { get; private set; } = null!;

    [SetUp]
    public void CreateBackend()
    {
        Backend = Description.Create();
        Random = new Random(TestContext.CurrentContext.Test.Name.Length * 7919);
    }

    [TearDown]
    public void Release()
    {
        _owned.ForEach(owned => owned.Dispose());
        _owned.Clear();
        Backend.Dispose();
    }

    protected float[] Floats(int count, float amplitude = 1)
        => [.. Enumerable.Range(0, count).Select(_ => ((float)Random.NextDouble() - 0.5f) * 2 * amplitude)];

    private protected BackendBuffer Buffer(float[] values)
    {
        using var memory = Memory(DType.F32, values);
        return Own(Backend.ImportVector(new TensorView("values", DType.F32, [values.Length], Address(memory), values.Length * 4L)));
    }

    private protected BackendBuffer Buffer(int count) => Own(Backend.Allocate(count));

    /// <summary>A tensor of the element type nearest to the values, and the values that it really holds.</summary>
    protected (TensorView View, float[] Exact) Tensor(DType dtype, float[] values, params long[] shape)
    {
        var memory = Own(Memory(dtype, values));
        var exact = Array.ConvertAll(values, value => Rounded(dtype, value));
        return (new TensorView("tensor", dtype, shape, Address(memory), values.Length * (long)dtype.Size()), exact);
    }

    private protected float[] Read(BackendBuffer buffer) => Backend.Download(buffer, 0, (int)buffer.Length).ToArray();

    protected T Own<T>(T disposable)
        where T : IDisposable
    {
        _owned.Add(disposable);
        return disposable;
    }

    /// <summary>Each value within the tolerance of its reference, relative to the largest magnitude of the reference.</summary>
    protected static void AssertClose(float[] actual, double[] expected, double tolerance)
    {
        var scale = expected.Max(Math.Abs);
        var worst = actual.Zip(expected, (a, e) => Math.Abs(a - e)).Max();
        Assert.That(worst, Is.LessThanOrEqualTo(tolerance * scale), $"largest error {worst:g3} at scale {scale:g3}");
    }

    private static float Rounded(DType dtype, float value) => dtype switch
    {
        DType.BF16 => BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits(value) + 0x8000) & 0xFFFF0000),
        DType.F16 => (float)(Half)value,
        _ => value,
    };

    private static unsafe nint Address(NativeBuffer<byte> memory) => (nint)memory.Pointer;

    private static unsafe NativeBuffer<byte> Memory(DType dtype, float[] values)
    {
        var memory = new NativeBuffer<byte>(values.Length * (long)dtype.Size());
        for (var i = 0; i < values.Length; i++)
        {
            switch (dtype)
            {
                case DType.BF16:
                    ((ushort*)memory.Pointer)[i] = (ushort)((BitConverter.SingleToUInt32Bits(values[i]) + 0x8000) >> 16);
                    break;
                case DType.F16:
                    ((Half*)memory.Pointer)[i] = (Half)values[i];
                    break;
                default:
                    ((float*)memory.Pointer)[i] = values[i];
                    break;
            }
        }

        return memory;
    }
}
