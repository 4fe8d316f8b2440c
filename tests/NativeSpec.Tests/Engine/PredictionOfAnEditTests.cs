using System.Diagnostics;
using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Tests.Engine;

/// <summary>An editing task with the model in the box: a parameter is renamed, and the member's comment, which was written for the old name, is written again. What is
/// returned is the old comment with some changes, which the old comment predicts. (The model cannot be asked to return a text: it only completes comments.)</summary>
public sealed class PredictionOfAnEditTests
{
    private static readonly (string Signature, string From, string To)[] Renames =
    [
        ("namespace System.Collections.Immutable;\nImmutableArray.BinarySearch<T>(ImmutableArray<T> array, int index, int length, T value, IComparer<T> comparer)\n", "length", "count"),
        ("namespace System.IO.Compression;\nZipFile.CreateFromDirectory(string sourceDirectoryName, string destinationArchiveFileName, CompressionLevel compressionLevel, bool includeBaseDirectory)\n", "compressionLevel", "level"),
        ("namespace System.Text.Json;\nJsonSerializer.Deserialize(Stream utf8Json, Type returnType, JsonSerializerOptions options, CancellationToken cancellationToken)\n", "options", "settings"),
        ("namespace System.Threading.Channels;\nChannelWriter<T>.WriteAsync(T item, CancellationToken cancellationToken)\n", "item", "element"),
    ];

    private static readonly GenerationOptions Greedy = new() { Temperature = 0, MaxTokens = 200 };

    [Test]
    public async Task ARenamedParameter_TakesFarFewerRounds_AndGivesTheSameText()
    {
        using var engine = Load();
        var (tokens, rounds) = (0, 0);
        foreach (var (signature, from, to) in Renames)
        {
            var old = await engine.CompleteAsync(signature, Greedy with { Speculation = SpeculationOptions.Off });
            var renamed = signature.Replace(from, to, StringComparison.Ordinal);
            var plain = await engine.CompleteAsync(renamed, Greedy with { Speculation = SpeculationOptions.Off });
            // Every candidate, so that the count does not depend on what a forward costs on this machine today.
            var predicted = await engine.CompleteAsync(renamed, Greedy with { Prediction = old.Text, Speculation = new SpeculationOptions { Drafters = ["lookup"], Unplanned = true } });
            Assert.That(predicted.Ids, Is.EqualTo(plain.Ids), signature);
            (tokens, rounds) = (tokens + predicted.Ids.Count, rounds + predicted.Timings.Rounds);
            TestContext.Out.WriteLine($"{renamed}: {predicted.Ids.Count} tokens in {predicted.Timings.Rounds} rounds; was: {old.Text}; is: {plain.Text}");
        }

        Assert.That(tokens, Is.GreaterThan(3 * rounds), "tokens per round; plain decoding has one");
    }

    [Test, Explicit("a measurement: tokens per second, plainly, with the engine's own drafters and with the prediction, in turns")]
    public async Task Measure()
    {
        using var engine = Load();
        var times = new double[3];
        var (tokens, rounds) = (0, new int[3]);
        for (var turn = 0; turn < 12; turn++)
        {
            foreach (var (signature, from, to) in Renames)
            {
                var old = await engine.CompleteAsync(signature, Greedy);
                var renamed = signature.Replace(from, to, StringComparison.Ordinal);
                GenerationOptions[] ways = [Greedy with { Speculation = SpeculationOptions.Off }, Greedy, Greedy with { Prediction = old.Text }];
                for (var way = 0; way < ways.Length; way++)
                {
                    var began = Stopwatch.GetTimestamp();
                    var result = await engine.CompleteAsync(renamed, ways[way]);
                    if (turn >= 2) // the first teach
                    {
                        times[way] += Stopwatch.GetElapsedTime(began).TotalSeconds;
                        rounds[way] += result.Timings.Rounds;
                        tokens += way == 0 ? result.Ids.Count : 0;
                    }
                }
            }
        }

        TestContext.Out.WriteLine(FormattableString.Invariant(
            $"plain {tokens / times[0]:0} tokens/s; own drafters {tokens / times[1]:0} ({times[0] / times[1]:0.00} ×, {(double)tokens / rounds[1]:0.00} tokens a round); with the prediction {tokens / times[2]:0} ({times[0] / times[2]:0.00} ×, {(double)tokens / rounds[2]:0.00} tokens a round)"));
    }

    private static InferenceEngine Load() => InferenceEngine.Load(Repository.Find("models", "doc-comments"), new EngineOptions { PrefixCache = false });
}
