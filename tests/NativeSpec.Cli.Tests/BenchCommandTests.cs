using NativeSpec.Tests.Engine;

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
    public async Task Kernels_MeasuresWhatIsHere_AndNamesWhatIsNot()
    {
        using var folder = new TestFolder();
        var picture = Path.Combine(folder.Path, "roofline.svg");
        var json = (await CliRun.Of([.. Kernels(folder, "cpu,native,ilgpu,cuda"), "--nodes", "1,3", "--svg", picture, "--json"])).Json();

        string[] here = Backends.Native.NativeOptions.AvailableLevels.Count > 0 ? ["cpu", "native", "ilgpu"] : ["cpu", "ilgpu"];
        var backends = json.GetProperty("backends").EnumerateArray().ToArray();
        Assert.That(backends.Select(backend => backend.Text("name")), Is.EqualTo(here));
        Assert.That(json.GetProperty("missing").EnumerateArray().Last().Text("name"), Is.EqualTo("cuda"));
        Assert.That(json.GetProperty("missing").EnumerateArray().Last().Text("reason"), Does.Contain("CUDA"));
        foreach (var backend in backends)
        {
            var operations = backend.GetProperty("operations").EnumerateArray().ToArray();
            Assert.That(operations.Select(operation => operation.Text("name")).Distinct().Count(), Is.EqualTo(12));
            Assert.That(operations, Has.Length.EqualTo(24));
            Assert.That(operations.SelectMany(operation => new[] { operation.GetProperty("warm"), operation.GetProperty("cold") }).Select(time => time.Number("us")), Is.All.Positive);
            Assert.That(backend.GetProperty("f32_gflop_per_second").Number("median"), Is.Positive);
        }

        string[] fields = ["processor", "threads", "device", "driver", "runtime", "system", "commit"];
        Assert.That(json.GetProperty("environment").EnumerateObject().Select(field => field.Name), Is.EqualTo(fields));
        var circles = System.Xml.Linq.XDocument.Load(picture).Descendants().Where(element => element.Name.LocalName == "circle").ToArray();
        Assert.That(circles, Has.Length.EqualTo(here.Length * 2 * 2 * 10), "ten operations that compute, with two numbers of nodes, warm and cold");
        Assert.That(circles.Select(circle => double.Parse(circle.Attribute("cy")!.Value, System.Globalization.CultureInfo.InvariantCulture)), Is.All.InRange(0, 700));
    }

    [Test]
    public async Task Kernels_AsCsv_HasALineForEachTime()
    {
        using var folder = new TestFolder();
        var run = await CliRun.Of([.. Kernels(folder, "cpu,cuda"), "--nodes", "1", "--csv"]);
        var lines = run.Out.Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.That(lines[0], Does.StartWith("backend,operation,nodes,cache,us,").And.EndWith("runtime,system,commit"));
        Assert.That(lines, Has.Length.EqualTo(1 + (2 * 12) + 1));
        Assert.That(lines[^1], Does.StartWith("cuda,").And.Contain("CUDA"));
    }

    [TestCase("--backend", "cpu,gpu")]
    [TestCase("--backend", "")]
    [TestCase("--json", "--csv")]
    public async Task Kernels_WhatCannotBeMeasured_IsRefused(string first, string second)
        => Assert.That((await CliRun.Of("bench", "kernels", "--shape", "15m", first, second)).Code, Is.EqualTo(CommandLine.Usage));

    /// <summary>The name of a device is ILGPU's: the processor's kernels are measured beside it all the same, and CUDA's are said to know numbers.</summary>
    [Test]
    public async Task Kernels_OnADeviceByItsName_MeasuresThoseWithoutADeviceToo()
    {
        using var folder = new TestFolder();
        var json = (await CliRun.Of([.. Kernels(folder, "cpu,ilgpu,cuda"), "--device", "cpu", "--nodes", "1", "--json"])).Json();
        Assert.That(json.GetProperty("backends").EnumerateArray().Select(backend => backend.Text("name")), Is.EqualTo(new[] { "cpu", "ilgpu" }));
        Assert.That(json.GetProperty("missing").EnumerateArray().Single().Text("reason"), Does.Contain("number"));
        Assert.That(json.GetProperty("environment").Text("device"), Is.EqualTo("none"), "what was measured has no memory of its own, whatever else is in the machine");
    }

    [Test]
    public async Task Kernels_APictureThatCannotBeWritten_IsSaidBeforeAnythingIsMeasured()
    {
        using var folder = new TestFolder();
        var run = await CliRun.Of([.. Kernels(folder, "cpu"), "--nodes", "1", "--svg", Path.Combine(folder.Path, "nowhere", "roofline.svg")]);
        Assert.That(run.Code, Is.Not.EqualTo(CommandLine.Success));
        Assert.That(run.Error, Does.Contain("nowhere"));
        Assert.That(run.Out, Is.Empty);
    }

    [Test]
    public async Task ADevice_BesideTheProcessorsKernels_IsRefused()
        => Assert.That((await CliRun.Of("bench", "forward", "--shape", "15m", "--backend", "cpu", "--device", "0")).Code, Is.EqualTo(CommandLine.Usage));

    [Test]
    public async Task Kernels_ASingleBackendThatIsNotHere_Fails()
    {
        using var folder = new TestFolder();
        var run = await CliRun.Of([.. Kernels(folder, "cuda"), "--nodes", "1"]);
        Assert.That(run.Code, Is.Not.EqualTo(CommandLine.Success));
        Assert.That(run.Error, Does.Contain("CUDA"));
    }

    private static string[] Kernels(TestFolder folder, string backends)
        => ["bench", "kernels", "--shape", Path.Combine(folder.Path, "config.json"), "--context", "5", "--repeats", "1", "--threads", "2", "--backend", backends];
}
