namespace NativeSpec.Cli.Tests;

public sealed class BenchCommandTests
{
    [Test]
    public async Task Decode_ReportsSpeedAndItsShareOfTheBandwidth()
    {
        var json = (await CliRun.Of("bench", "decode", "--shape", "15m", "--tokens", "2", "--repeats", "1", "--threads", "1", "--json")).Json();

        // 6 layers of 288/768 and a tied vocabulary of 32000 in BF16, and 17 tokens' keys and values in F32.
        const long Weights = 2 * ((32_000 * 288) + (6 * ((4 * 288 * 288) + (3 * 288 * 768) + (2 * 288))) + 288);
        Assert.That(json.Number("bytes_per_token"), Is.EqualTo(Weights + (17 * 2 * 6 * 288 * 4)));
        var (speed, read) = (json.GetProperty("tokens_per_second").Number("median"), json.GetProperty("read_gb_per_second").Number("median"));
        Assert.That(read, Is.Positive);
        Assert.That(json.GetProperty("decode_gb_per_second").Number("median"), Is.EqualTo(speed * json.Number("bytes_per_token") / 1e9).Within(1).Percent);
        Assert.That(json.GetProperty("fraction_of_read_bandwidth").Number("median"), Is.Positive);
    }

    [Test]
    public async Task Forward_ReportsEachSizeAndTheGrowth()
    {
        var json = (await CliRun.Of("bench", "forward", "--shape", "15m", "--nodes", "4,2", "--context", "3", "--prefill", "5", "--chunk", "2", "--repeats", "2", "--threads", "1", "--json")).Json();

        var forwards = json.GetProperty("forwards").EnumerateArray().ToArray();
        Assert.That(forwards.Select(forward => (int)forward.Number("nodes")), Is.EqualTo(new[] { 1, 2, 4 }), "one node is what the others are compared with");
        Assert.That(forwards[0].GetProperty("growth").Number("median"), Is.EqualTo(1));
        Assert.That(forwards.Select(forward => forward.GetProperty("fraction_of_read_bandwidth").Number("median")), Is.All.Positive);
        Assert.That(json.GetProperty("prefill_tokens_per_second").Number("median"), Is.Positive);
    }

    [Test]
    public async Task Forward_PackedWeights_ReadsFewerBytes()
    {
        Assume.That(Backends.Native.NativeOptions.AvailableLevels, Is.Not.Empty);
        string[] arguments = ["bench", "forward", "--shape", "15m", "--nodes", "1", "--context", "1", "--repeats", "1", "--threads", "1", "--json"];
        var stored = (await CliRun.Of([.. arguments, "--weights", "bf16"])).Json();
        var packed = (await CliRun.Of([.. arguments, "--weights", "q8"])).Json();

        Assert.That(packed.Text("weights"), Is.EqualTo("q8")); // 288 columns are padded to 384
        Assert.That(packed.Number("bytes_per_token"), Is.InRange(stored.Number("bytes_per_token") / 2, stored.Number("bytes_per_token") * 0.75));
    }

    [TestCase("--shape", "13b")]
    [TestCase("--nodes", "0")]
    [TestCase("--nodes", "4000")]
    [TestCase("--weights", "stored")]
    public async Task Forward_WhatCannotBeMeasured_IsRefused(string option, string value)
        => Assert.That((await CliRun.Of("bench", "forward", "--shape", "15m", option, value)).Code, Is.EqualTo(CommandLine.Usage));

    [Test]
    public async Task Kernels_ReportsEveryOperationAgainstItsRoof([Values("cpu", "native")] string backend)
    {
        Assume.That(backend == "cpu" || Backends.Native.NativeOptions.AvailableLevels.Count > 0);
        var json = (await CliRun.Of("bench", "kernels", "--shape", "15m", "--nodes", "1,3", "--context", "5", "--repeats", "1", "--threads", "2", "--backend", backend, "--json")).Json();

        var operations = json.GetProperty("operations").EnumerateArray().ToArray();
        Assert.That(operations.Select(operation => operation.Text("name")).Distinct().Count(), Is.EqualTo(11));
        Assert.That(operations, Has.Length.EqualTo(22));
        Assert.That(operations.Select(operation => operation.Number("us")), Is.All.Positive);
        Assert.That(json.GetProperty("f32_gflop_per_second").Number("median"), Is.Positive);
    }
}
