using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using NativeSpec.Benchmarks;

// Without a filter BenchmarkDotNet would ask which to run.
if (!args.Any(argument => argument is "-f" or "--filter" || argument.StartsWith("--filter=", StringComparison.Ordinal)))
{
    args = ["--filter", "*", .. args];
}

// In this process, because the native library and the weights are here already.
var job = Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance);
BenchmarkSwitcher.FromAssembly(typeof(OperationBenchmarks).Assembly).Run(args, DefaultConfig.Instance.AddJob(job));
