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
}
