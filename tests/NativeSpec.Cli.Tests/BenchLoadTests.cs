using System.Xml.Linq;
using NativeSpec.Cli.Benchmarks.Load;
using NativeSpec.Cli.Generation;
using NativeSpec.Engine;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Cli.Tests;

public sealed class BenchLoadTests
{
    private static readonly string Model = DemoModel.Find(null).Path;

    [Test]
    public async Task Mix_ReportsEachNumberOfCallersAndDrawsIt()
    {
        using var folder = new TestFolder();
        var picture = Path.Combine(folder.Path, "load.svg");
        var json = (await CliRun.Of(
            "bench", "load", "--model", Model, "--callers", "1,3", "--requests", "12", "--mix", "short:2,long:1,cancel:1", "--max-tokens", "6", "--long-tokens", "50", "--pause", "1",
            "--threads", "1", "--speculate", "lookup", "--json", "--svg", picture)).Json();

        var callers = json.GetProperty("callers").EnumerateArray().ToArray();
        Assert.That(callers.Select(result => (int)result.Number("callers")), Is.EqualTo(new[] { 1, 3 }));
        foreach (var result in callers)
        {
            Assert.That(result.Number("requests"), Is.EqualTo(12));
            Assert.That(result.Number("tokens_per_second"), Is.Positive);
            Assert.That(result.Number("texts_different"), Is.Zero);
            Assert.That(result.GetProperty("errors").EnumerateObject(), Is.Empty);
            Assert.That(result.GetProperty("long_first_token_ms").Number("p99"), Is.Positive);
            Assert.That(result.GetProperty("memory_after").Number("managed_bytes"), Is.Positive);
        }

        Assert.That(XDocument.Load(picture).Root!.Name.LocalName, Is.EqualTo("svg"));
    }

    [Test]
    public async Task Flood_RefusesWhatIsTooMuchAndServesTheRest()
    {
        var json = (await CliRun.Of("bench", "load", "--model", Model, "--scenario", "flood", "--max-tokens", "4", "--threads", "1", "--speculate", "off", "--json")).Json();

        Assert.That(json.Number("refused"), Is.Positive);
        Assert.That(json.Number("served") + json.Number("refused"), Is.EqualTo(json.Number("requests")));
        Assert.That((json.Number("texts"), json.Number("texts_different")), Is.EqualTo((json.Number("served"), 0d)));
    }

    [TestCase("long-prompt", "long_ratio", "short_first_token_undisturbed_p50_ms", "inter_token_undisturbed_p99_ms")]
    [TestCase("second-turn", "second_to_first", "second_turn_first_token_ms")]
    [TestCase("exhausted", "preemptions", "tokens_per_second")]
    public async Task Scenario_ReportsItsFigures(string scenario, params string[] figures)
    {
        var json = (await CliRun.Of("bench", "load", "--model", Model, "--scenario", scenario, "--requests", "12", "--long-tokens", "40", "--max-tokens", "40", "--repeats", "1", "--threads", "1", "--speculate", "off", "--json")).Json();

        Assert.That(figures.Select(figure => json.Number(figure)), Is.All.Positive);
        Assert.That(json.Number("texts"), Is.Positive);
        Assert.That(json.Number("texts_different"), Is.Zero);
    }

    [TestCase("--callers", "0")]
    [TestCase("--mix", "short")]
    [TestCase("--mix", "short:0")]
    [TestCase("--mix", "tall:1")]
    [TestCase("--scenario", "storm")]
    [TestCase("--pause", "-1")]
    [TestCase("--long-tokens", "100000")]
    public async Task WhatCannotBeMeasured_IsRefused(string option, string value)
        => Assert.That((await CliRun.Of("bench", "load", "--model", Model, option, value)).Code, Is.EqualTo(CommandLine.Usage));

    [Test]
    public void Sample_OfAnotherTextDiffers_AlsoWhereItsCallerHasLeft()
    {
        var request = new LoadRequest(LoadKind.Cancel, [1], new GenerationOptions());
        LoadSample same = new(request) { Ids = { 5, 6 }, Left = true }, whole = new(request) { Ids = { 5, 6 } }, other = new(request) { Ids = { 5, 7 }, Left = true };
        LoadSample failed = new(request) { Error = "IOException" };
        Array.ForEach([same, whole, other, failed], sample => sample.Compare([5, 6, 7]));

        Assert.That(new[] { same.Differs, whole.Differs, other.Differs, failed.Differs }, Is.EqualTo(new[] { false, true, true, false }));
        Assert.That(failed.IsCompared, Is.False);
    }

    [Test]
    public void Percentiles_AreNearestRanks()
    {
        Assert.That(Percentiles.Of(Enumerable.Range(1, 200).Select(i => (double)i)), Is.EqualTo(new Percentiles(100, 198)));
        Assert.That(Percentiles.Of([3, double.NaN]), Is.EqualTo(new Percentiles(3, 3)));
        Assert.That(Percentiles.Of([]).P50, Is.NaN);
    }
}
