using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>The host's sizes and launches are those of the kernels' own headers and tests (native/tests/cuda/launch_shapes.h): whoever changes one changes the other.</summary>
public sealed class CudaLaunchShapeTests
{
    private static readonly int[] Widths = [4, 60, 64, 127, 128, 129, 512, 2048, 2304, 4096, 5632, 8192, 14336, 28672, 128256];
    private static readonly int[] Buckets = [8, 16, 32, 64, 128, 256, 512];

    [SetUp]
    public void Require() => CudaEmulator.Require();

    [Test]
    public void Products_OfManyShapesBucketsAndParts_AreCutAndLaunchedAlike([Values] bool isGateUp)
    {
        Assert.That(Buckets, Is.EqualTo(Enumerable.Range(0, 7).Select(i => CudaLayout.BucketOf(CudaLayout.ProductRows[0] << i))));
        foreach (var format in Enum.GetValues<CudaFormat>())
        {
            foreach (var (outFeatures, inFeatures) in Widths.SelectMany(y => Widths.Select(x => (y, x))))
            {
                var stages = CudaLayout.Stages(format, inFeatures);
                var segments = isGateUp ? 1 : CudaLayout.Segments(outFeatures, stages);
                foreach (var bucket in Buckets)
                {
                    foreach (var (multiprocessors, sharedBytes) in new[] { (132, 233472), (108, 167936), (16, 102400), (1, 65536) })
                    {
                        var (rows, blocks) = CudaLayout.ProductOf(bucket);
                        var (ring, bytes) = CudaLayout.Ring(format, rows, sharedBytes);
                        long[] expected =
                        [
                            stages, segments, CudaLayout.WeightBytes(format, outFeatures, inFeatures), rows, blocks, ring, CudaLayout.ProductGrid(outFeatures, segments, bucket, multiprocessors), bytes,
                        ];
                        var answers = CudaEmulator.LaunchShape("product", (int)format, outFeatures, inFeatures, isGateUp ? 1 : 0, bucket, multiprocessors, sharedBytes);
                        if (!answers.AsSpan().SequenceEqual(expected))
                        {
                            Assert.Fail($"{format} [{outFeatures}, {inFeatures}], {bucket} rows, {multiprocessors} multiprocessors of {sharedBytes} bytes: the kernels have {string.Join(' ', answers)}, the host {string.Join(' ', expected)}");
                        }
                    }
                }
            }
        }
    }

    [TestCase(4096)]
    [TestCase(4097)]
    [TestCase(28672)]
    [TestCase(128256)]
    [TestCase(262143)]
    [TestCase(262145)]
    public void FinishBlocks_OfWideRows_AreAlike(int width) => Assert.That(CudaEmulator.LaunchShape("rows", width, 8)[^1], Is.EqualTo(CudaKernels.FinishBlocks(width)));

    [Test]
    public void Rows_OfManyWidths_LieAndAreNormedAlike()
    {
        foreach (var (width, bucket) in Widths.Where(width => width is < 24000 and not (127 or 129)).SelectMany(width => Buckets.Select(bucket => (width, bucket))))
        {
            long[] expected = [CudaLayout.FilledColumns(width), CudaLayout.ActivationBytes(width, bucket), CudaKernels.NormThreads(width), CudaKernels.NormBytes(width), CudaKernels.FinishBlocks(width)];
            Assert.That(CudaEmulator.LaunchShape("rows", width, bucket), Is.EqualTo(expected), $"{width} columns, {bucket} rows");
            var (row, column) = (bucket - 3, width - 2);
            Assert.That(CudaEmulator.LaunchShape("place", row, column, bucket), Is.EqualTo(new long[] { CudaLayout.ActivationIndex(row, column, bucket) }), $"row {row}, column {column} of {bucket} rows");
        }
    }

    [Test]
    public void Attention_OfManyHeads_IsLaunchedAlike()
    {
        var parts = new[] { (1, 1, 64, 1), (6, 2, 64, 16), (9, 3, 64, 108), (32, 8, 128, 132), (64, 8, 128, 108) };
        foreach (var ((heads, kvHeads, width, multiprocessors), kv) in parts.SelectMany(part => new[] { KvFormat.BF16, KvFormat.F32 }.Select(kv => (part, kv))))
        {
            long[] expected =
            [
                CudaLayout.RotationGrid(heads, kvHeads), CudaLayout.RotationBytes, CudaLayout.AttentionGrid(multiprocessors), CudaLayout.AttentionBytes(width, kv), CudaLayout.FoldGrid(heads),
            ];
            Assert.That(CudaEmulator.LaunchShape("attention", heads, kvHeads, width, multiprocessors, (int)(kv == KvFormat.F32 ? CudaFormat.F32 : CudaFormat.BF16)), Is.EqualTo(expected), $"{heads} heads, {kvHeads} of keys, {width} wide, {kv}");
        }
    }

    [Test]
    public void Kernels_OfEveryName_AreLaunchedWithTheThreadsThatTheyWereCompiledFor()
    {
        using var backend = CudaEmulator.Create();
        using var turn = backend.Context.Enter();
        var kernels = CudaKernels.All(CudaDevice.Find(0, out _)!).ToArray();
        var compiled = kernels.Select(kernel => (kernel.Name, CudaEmulator.MostThreads(backend.Kernels[kernel.Name])));
        Assert.That(compiled, Is.EqualTo(kernels.Select(kernel => (kernel.Name, kernel.Threads))));
    }

    [Test]
    public void Units_OfPositions_BeginAndEndAlike()
    {
        for (var position = 0; position < 40_000; position += 61)
        {
            var unit = CudaLayout.UnitOf(position);
            Assert.That(CudaEmulator.LaunchShape("unit", position), Is.EqualTo(new long[] { unit, CudaLayout.UnitBegin(unit), CudaLayout.UnitBegin(unit + 1) }), $"position {position}");
        }
    }

    [Test]
    public void Walks_AlongTrees_AreLaunchedAlike()
        => Assert.That(CudaEmulator.LaunchShape("walk"), Is.EqualTo(new long[] { CudaKernels.WalkBytes, CudaKernels.MoveBlocks }));

    [Test]
    public void Choices_FromManyVocabularies_AreLaunchedAlike()
    {
        foreach (var vocabulary in new[] { 1, 255, 256, 257, 300, 4095, 4096, 4097, 8200, 32000, 128256 })
        {
            var answers = CudaEmulator.LaunchShape("choice", vocabulary);
            Assert.That(answers, Is.EqualTo(new long[] { CudaKernels.ChooseThreads(vocabulary), CudaKernels.ChooseBytes, 1024, CudaKernels.TopKBytes }), $"{vocabulary} tokens");
        }
    }
}
