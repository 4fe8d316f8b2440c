using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeSpec.Backends.Cpu;
using NativeSpec.Loading;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Tensors;

/// <summary>Tensors in the hands of System.Numerics.Tensors.</summary>
public sealed class TensorViewTests
{
    private static readonly List<Array> Pinned = []; // what views look at lives as long as the tests

    [Test]
    public void AsTensorSpan_OfACheckpointsTensor_IsItInPlace()
    {
        using var folder = new TestFolder();
        using var checkpoint = Checkpoint.Open(folder.Path);
        var view = checkpoint.Tensors["model.embed_tokens.weight"];
        var span = view.AsTensorSpan<float>();
        Assert.That(span.Lengths.ToArray().Select(length => (long)length), Is.EqualTo(view.Shape.ToArray()));
        var row = span[2..3, Range.All];
        var expected = MemoryMarshal.Cast<byte, float>(view.Bytes).Slice(2 * (int)view.Shape[1], (int)view.Shape[1]).ToArray();
        Assert.That(row.FlattenedLength, Is.EqualTo((nint)expected.Length));
        Assert.That(Tensor.Sum(row), Is.EqualTo(TensorPrimitives.Sum<float>(expected)).Within(1e-5));
        Assert.That(span[2, 1], Is.EqualTo(expected[1]));
        Assert.That(Tensor.Norm<float>(view.ToFloats()[2..3, Range.All]), Is.EqualTo(TensorPrimitives.Norm<float>(expected)).Within(1e-5));
    }

    [Test]
    public void Logits_OfANode_AreATensorInPlace()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.F32, 1);
        using var run = new ModelRun(CpuBackend.Create(new CpuOptions { Threads = 1 }), weights.Config, weights.Tensors);
        using var sequence = run.Open();
        run.Append(sequence, [1, 2, 3]);
        var logits = run.Model.Logits(0);
        var tensor = new ReadOnlyTensorSpan<float>(logits);
        Assert.That(tensor.FlattenedLength, Is.EqualTo((nint)weights.Config.VocabSize));
        Assert.That(Unsafe.AreSame(in tensor[0], in logits[0]), Is.True, "no copy");
        Assert.That((int)Tensor.IndexOfMax(tensor), Is.EqualTo(TensorPrimitives.IndexOfMax(logits)));
    }

    [Test]
    public void ToFloats_WidensWhatACheckpointHolds()
    {
        var bf16 = View<ushort>(DType.BF16, [0x3F80, 0xC040, 0x0001, 0x7F80, 0x7FC0, 0x8000], 2, 3);
        float[] expected = [1, -3, BitConverter.UInt32BitsToSingle(0x10000), float.PositiveInfinity, BitConverter.UInt32BitsToSingle(0x7FC00000), -0f];
        Assert.That(bf16.ToFloats().Lengths.ToArray(), Is.EqualTo(new nint[] { 2, 3 }));
        Assert.That(bf16.ToFloats().ToArray().Select(BitConverter.SingleToUInt32Bits), Is.EqualTo(expected.Select(BitConverter.SingleToUInt32Bits)));
        Assert.That(bf16.AsTensorSpan<ushort>()[0, 1], Is.EqualTo(0xC040));
        Assert.That(View<Half>(DType.F16, [(Half)0.5f, (Half)(-2)], 2).ToFloats().ToArray(), Is.EqualTo(new[] { 0.5f, -2 }));
        Assert.That(View<float>(DType.F32, [7], []).ToFloats().ToArray(), Is.EqualTo(new[] { 7f }));
    }

    [Test]
    public void AsTensorSpan_OfAnotherElementType_SaysWhich()
    {
        var view = View<ushort>(DType.BF16, [1, 2], 2);
        Assert.That(() => view.AsTensorSpan<float>(), Throws.InvalidOperationException.With.Message.Contains("BF16").And.Message.Contains("Single"));
        Assert.That(() => View<int>(DType.I32, [1], 1).ToFloats(), Throws.InvalidOperationException.With.Message.Contains("I32"));
    }

    [Test]
    public unsafe void APackedMatrix_IsNoTensor()
    {
        using var memory = new NativeBuffer<byte>(PackedWeights.Bytes(64, 128, WeightFormat.Q8));
        var view = new TensorView("w", WeightFormat.Q8, 64, 128, (nint)memory.Pointer, memory.Length);
        Assert.That(() => view.AsTensorSpan<byte>(), Throws.InvalidOperationException.With.Message.Contains("packed"));
        Assert.That(() => view.ToFloats(), Throws.InvalidOperationException.With.Message.Contains("packed"));
    }

    [Test]
    public void AfterTheCheckpoint_IsRefused()
    {
        using var folder = new TestFolder();
        TensorView view;
        using (var checkpoint = Checkpoint.Open(folder.Path))
        {
            view = checkpoint.Tensors["model.embed_tokens.weight"];
        }

        Assert.That(() => view.AsTensorSpan<float>(), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(view.ToFloats, Throws.InstanceOf<ObjectDisposedException>());
    }

    private static TensorView View<T>(DType dtype, T[] values, params long[] shape)
        where T : unmanaged
    {
        var memory = GC.AllocateArray<T>(values.Length, pinned: true);
        values.CopyTo(memory, 0);
        Pinned.Add(memory);
        return new("tensor", dtype, shape, Marshal.UnsafeAddrOfPinnedArrayElement(memory, 0), values.Length * (long)dtype.Size());
    }
}
