using ILGPU;
using NativeSpec.Ilgpu.Kernels;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Backends;
using NativeSpec.Tests.Model;
using NUnit.Framework.Internal;

namespace NativeSpec.Ilgpu.Tests;

/// <summary>Kernels with the faults that batch invariance is about must be found by its tests: sums whose order follows the number of rows, or the shape of a tree.</summary>
public sealed class MutantTests
{
    [Test]
    public void BatchInvariance_WhereTheOrderOfAProductsSumFollowsTheRows_IsFoundMissing()
    {
        using var device = IlgpuDevice.Open("cpu", threads: 2);
        device.Kernels.Products[MatrixFormat.BF16] = new Kernel<MatMul.Arguments>(device, MultiplyByRows);
        Assert.That(Passes(device, fixture => fixture.Prefill_InChunksOfAnySize_GivesTheSameBits()), Is.False);
    }

    [Test]
    public void BatchInvariance_WhereTheOrderOfWeightsFollowsTheTree_IsFoundMissing()
    {
        using var device = IlgpuDevice.Open("cpu", threads: 2);
        device.Kernels.F32Kv = device.Kernels.F32Kv with { Weigh = new Kernel<TreeAttention.Arguments<float>>(device, WeighPathFirst) };
        Assert.That(Passes(device, fixture => fixture.Forward_EveryNodeOfATree_HasTheBitsOfASequentialForwardOfItsPath()), Is.False);
    }

    /// <summary>The mutants are right but for their order: other bits, and the same logits as far as rounding allows. So what finds them looks at bits.</summary>
    [Test]
    public void Mutants_InATreeOfManyRows_HaveTheTrueLogitsButForRoundings([Values] bool ofProducts)
    {
        using var device = IlgpuDevice.Open("cpu", threads: 2);
        if (ofProducts)
        {
            device.Kernels.Products[MatrixFormat.BF16] = new Kernel<MatMul.Arguments>(device, MultiplyByRows);
        }
        else
        {
            device.Kernels.F32Kv = device.Kernels.F32Kv with { Weigh = new Kernel<TreeAttention.Arguments<float>>(device, WeighPathFirst) };
        }

        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.BF16, 3);
        var (truth, mutant) = (Logits(TestBackend.SharedDevice), Logits(device));
        Assert.That(mutant, Is.Not.EqualTo(truth));
        Assert.That(mutant, Is.EqualTo(truth).Within(1e-4 * truth.Max(Math.Abs)));

        float[] Logits(IlgpuDevice on)
        {
            using var run = new ModelRun(new IlgpuBackend(on, ownsDevice: false), weights.Config, weights.Tensors);
            using var sequence = run.Open();
            run.Append(sequence, [.. Enumerable.Range(0, 41)], chunk: 41);
            return [.. run.Forward((sequence, ModelRun.RandomTree(new Random(4), 37, 300)))[0].SelectMany(row => row)];
        }
    }

    [Test]
    public void BatchInvariance_WithTheKernelsAsTheyAre_IsNotFoundMissing()
    {
        using var device = IlgpuDevice.Open("cpu", threads: 2);
        Assert.That(Passes(device, fixture => fixture.Prefill_InChunksOfAnySize_GivesTheSameBits()), Is.True);
    }

    private static bool Passes(IlgpuDevice device, Action<BatchInvarianceTests> test)
    {
        var backend = new TestBackend("ilgpu mutant", 2, () => new IlgpuBackend(device, ownsDevice: false));
        var fixture = new BatchInvarianceTests(backend, nameof(TestConfigs.Tiny));
        using var apart = new TestExecutionContext.IsolatedContext(); // what fails there is no failure of this test
        fixture.Load();
        try
        {
            test(fixture);
            return true;
        }
        catch (AssertionException)
        {
            return false;
        }
        finally
        {
            fixture.Unload();
        }
    }

    /// <summary>More than eight rows add the last columns first.</summary>
    private static void MultiplyByRows(Index1D index, Loop loop, MatMul.Arguments a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (output, rest) = (item % a.Outputs, item / a.Outputs);
            var (segment, row) = (rest % a.Segments, rest / a.Segments * MatMul.Rows);
            var first = segment * a.SegmentChunks;
            var count = Math.Min(a.SegmentChunks, a.Weights.Chunks - first);
            for (var r = row; r < row + MatMul.Rows; r++)
            {
                var sum = 0f;
                for (var i = 0; i < count; i++)
                {
                    var chunk = first + (a.Rows > MatMul.Rows ? count - 1 - i : i);
                    var w = BF16Format.Load(a.Weights, output, chunk);
                    var (low, high) = (a.X[((long)r * a.StrideX) + (2 * chunk)], a.X[((long)r * a.StrideX) + (2 * chunk) + 1]);
                    sum = sum + (w.Low.X * low.X) + (w.Low.Y * low.Y) + (w.Low.Z * low.Z) + (w.Low.W * low.W);
                    sum = sum + (w.High.X * high.X) + (w.High.Y * high.Y) + (w.High.Z * high.Z) + (w.High.W * high.W);
                }

                a.Partials[((((long)segment * a.Rows) + r) * a.Outputs) + output] = sum;
            }
        }
    }

    /// <summary>Weights of the positions past the trunk are added before those of the trunk.</summary>
    private static void WeighPathFirst(Index1D index, Loop loop, TreeAttention.Arguments<float> a)
    {
        TreeAttention.Weigh<float, PlainArithmetic>(index, loop, a);
        var units = a.Context / TreeAttention.Unit;
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (unit, row) = (item % units, a.FirstRow + (item / units / a.Heads));
            var start = unit * TreeAttention.Unit;
            var end = Math.Min(TreeAttention.Unit, a.Sight.Positions[row] + 1 - start);
            var trunk = Math.Min(Math.Max(a.Sight.Trunk[row] - start, 0), Math.Max(end, 0));
            var sum = 0f;
            for (var i = trunk; i < end; i++)
            {
                sum += a.Scores[((long)item * TreeAttention.Unit) + i];
            }

            for (var i = 0; i < trunk; i++)
            {
                sum += a.Scores[((long)item * TreeAttention.Unit) + i];
            }

            a.Sums[item] = sum;
        }
    }
}
