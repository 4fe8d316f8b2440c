namespace NativeSpec.Tests.Backends.Cuda.EngineFaults;

/// <summary>Any call of the driver may fail under an engine at any time: every request ends with its right text, or a beginning of it and one exception that says what failed;
/// nothing hangs, nothing is left behind, and the engine says how it is.</summary>
public sealed class CudaEngineFaultTests
{
    private FaultTexts _texts = null!;

    [OneTimeSetUp]
    public async Task Write()
    {
        CudaEmulator.Require();
        _texts = await FaultTexts.WriteAsync();
    }

    [OneTimeTearDown]
    public void Delete() => _texts?.Dispose();

    [Test]
    public Task Engine_RandomFaults_NoHangNoWrongTokenNoLeak() => RunAsync(firstSeed: 1, faults: 50);

    [Test, Explicit("minutes; run it alone: --filter FullyQualifiedName=NativeSpec.Tests.Backends.Cuda.EngineFaults.CudaEngineFaultTests.Engine_AThousandRandomFaults_NoHangNoWrongTokenNoLeak")]
    public Task Engine_AThousandRandomFaults_NoHangNoWrongTokenNoLeak() => RunAsync(firstSeed: 1001, faults: 1000);

    /// <summary>A host that takes what a call that failed should have brought: the call does nothing and says that all is well.</summary>
    [TestCase("cuStreamSynchronize")]
    [TestCase("cuMemcpyDtoHAsync_v2")]
    [TestCase("cuGraphLaunch")]
    public async Task Mutant_AFaultThatNobodySees_IsFoundByTheTexts(string call)
    {
        for (var n = 1; n <= 12; n++)
        {
            var plan = new FaultPlan(FaultMoment.AmongRequests, "FAIL", $"{call},{n},0", Drafts: false, Heads: false, Sequences: 2, [6, 1], [0, 0]);
            if ((await new FaultTrial(plan, _texts).RunAsync()).Any(what => what.Contains("the text is", StringComparison.Ordinal)))
            {
                return;
            }
        }

        Assert.Fail($"of twelve {call} that did nothing none was found");
    }

    /// <summary>Engines of one seed after the other until so many calls have failed.</summary>
    private async Task RunAsync(int firstSeed, int faults)
    {
        var (hit, engines, before, processor) = (0, 0, CudaEmulator.Count("faults"), Environment.CpuUsage.TotalTime);
        List<string> wrong = [];
        for (; CudaEmulator.Count("faults") - before < faults; engines++)
        {
            var plan = FaultPlan.Draw(firstSeed + engines, FaultTexts.Requests.Count);
            var trial = new FaultTrial(plan, _texts);
            foreach (var what in await trial.RunAsync())
            {
                wrong.Add($"seed {firstSeed + engines} ({plan}): {what}");
                await TestContext.Progress.WriteLineAsync(wrong[^1]);
            }

            hit += trial.HasFailed ? 1 : 0;
        }

        await TestContext.Out.WriteLineAsync(
            $"{CudaEmulator.Count("faults") - before} faults in {engines} engines, of which {hit} had something end by them; {(Environment.CpuUsage.TotalTime - processor).TotalSeconds:0} s of processor time");
        Assert.That(wrong, Is.Empty);
        Assert.That(hit, Is.GreaterThan(engines / 3));
    }
}
