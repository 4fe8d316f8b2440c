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

    /// <summary>A width that the backend takes: the CUDA kernels take multiples of four.</summary>
    protected int Width(int width) => Description.IsCuda ? (width + 3) / 4 * 4 : width;

    /// <summary>[width] a row of 1, 0, 0, …</summary>
    protected static float[] First(int width) => [1, .. new float[width - 1]];

    /// <summary>A norm's gain.</summary>
    private protected RmsGain Gain(float[] values)
        => new(Own(Backend.ImportVector(Tensor(DType.F32, values, values.Length).View)), 1e-5f);

    /// <summary>A weight that projects rows onto themselves, exactly.</summary>
    private protected BackendWeight Identity(int width)
    {
        var values = new float[width * width];
        for (var i = 0; i < width; i++)
        {
            values[(i * width) + i] = 1;
        }

        return Own(Backend.ImportWeight([Tensor(DType.F32, values, width, width).View], [null]));
    }

    /// <summary>The angles of positions, all of which are known.</summary>
    /// <param name="positions">How many.</param>
    /// <param name="frequencies">[rotated elements of a head / 2] angle per position; of zeros nothing turns.</param>
    private protected RotationAngles Angles(int positions, double[] frequencies)
    {
        var angles = Own(new RotationAngles(frequencies, magnitude: 1, positions));
        angles.Reach(positions - 1);
        return angles;
    }

    /// <summary>Runs a plan of one value, as many rows as there are.</summary>
    private protected float[] Compute(float[] x, int width, Func<ForwardPlan, Rows, Rows> describe)
        => Compute(x.Length / width, [(x, width)], (plan, inputs) => describe(plan, inputs[0]));

    /// <summary>Runs a plan and reads the value that it is about: the way in which every operation is reached.</summary>
    /// <param name="rows">Rows of the batch.</param>
    /// <param name="inputs">Values of [rows, width] that are put in.</param>
    /// <param name="describe">From the inputs to the value.</param>
    private protected float[] Compute(int rows, (float[] Values, int Width)[] inputs, Func<ForwardPlan, Rows[], Rows> describe)
        => Compute(new RowBatch(rows, 1) { Count = rows }, null, inputs, describe);

    private protected float[] Compute(RowBatch batch, BackendKv? kv, (float[] Values, int Width)[] inputs, Func<ForwardPlan, Rows[], Rows> describe)
    {
        var plan = new ForwardPlan(batch.Count, batch.Count);
        var values = Array.ConvertAll(inputs, input => plan.Input(input.Width));
        var result = plan.Keep(describe(plan, values));
        using var program = Backend.Compile(plan);
        if (kv is not null)
        {
            program.Prepare(kv, batch);
        }

        for (var i = 0; i < inputs.Length; i++)
        {
            for (var row = 0; row < batch.Count; row++)
            {
                program.Write(values[i], row, inputs[i].Values.AsSpan(row * inputs[i].Width, inputs[i].Width));
            }
        }

        program.Run(batch, kv);
        return [.. Enumerable.Range(0, result.Of == RowSet.All ? batch.Count : batch.LogitCount).SelectMany(row => program.Read(result, row).ToArray())];
    }

    /// <summary>A tensor of the element type nearest to the values, and the values that it really holds.</summary>
    protected (TensorView View, float[] Exact) Tensor(DType dtype, float[] values, params long[] shape)
    {
        var memory = Own(Memory(dtype, values));
        var exact = Array.ConvertAll(values, value => Rounded(dtype, value));
        return (new TensorView("tensor", dtype, shape, Address(memory), values.Length * (long)dtype.Size()), exact);
    }

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
