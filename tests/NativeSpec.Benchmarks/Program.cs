using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using NativeSpec.Benchmarks;

// Without a filter BenchmarkDotNet would ask which to run, and it takes -fX as well as -f X. A "--" in front is for scripts that pass arguments on.
args = args is ["--", .. var rest] ? rest : args;
if (!args.Any(argument => argument is "--filter" || argument.StartsWith("--filter=", StringComparison.Ordinal) || argument is ['-', 'f', ..]))
{
    args = ["--filter", "*", .. args];
}

// In this process, because the native library and the weights are here already.
var job = Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance);
BenchmarkSwitcher.FromAssembly(typeof(OperationBenchmarks).Assembly).Run(args, DefaultConfig.Instance.AddJob(job));
