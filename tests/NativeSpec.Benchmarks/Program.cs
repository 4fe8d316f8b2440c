using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using NativeSpec.Benchmarks;

// In this process, because the native library and the weights are here already.
var job = Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance);
BenchmarkSwitcher.FromAssembly(typeof(OperationBenchmarks).Assembly).Run(args, DefaultConfig.Instance.AddJob(job));
