using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.CompilerServices;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Tests;
using NativeSpec.Tests.Golden;
using NUnit.Framework.Api;
using NUnit.Framework.Interfaces;
using NUnit.Framework.Internal;

namespace NativeSpec.CudaCheck;

/// <summary>Runs the tests by NUnit's own runner, and says of each how it ended as soon as it has.</summary>
internal static class Program
{
    private const string Usage = """
        usage: NativeSpec.CudaCheck [PATTERN ...]
        Runs the tests whose full names match one of the regular expressions, of which each must match some; without any, all.
        They take the first device of the driver; NATIVESPEC_CUDA_LIBRARY names another driver than the installed one.
        """;

    /// <remarks>Of a test that is a task NUnit asks by reflection what it awaits.</remarks>
    [DynamicDependency(DynamicallyAccessedMemberTypes.All, typeof(Task))]
    [DynamicDependency(DynamicallyAccessedMemberTypes.All, typeof(Task<>))]
    [DynamicDependency(DynamicallyAccessedMemberTypes.All, typeof(TaskAwaiter))]
    [DynamicDependency(DynamicallyAccessedMemberTypes.All, typeof(TaskAwaiter<>))]
    public static int Main(string[] args)
    {
        if (args.Length > 0 && args[0].StartsWith('-'))
        {
            Console.WriteLine(Usage);
            return 2;
        }

        if (CudaDevice.Find(0, out var reason) is not { } device)
        {
            Console.WriteLine($"no test can run: {reason}");
            return 1;
        }

        var begin = Stopwatch.GetTimestamp();
        using (var backend = CudaBackend.TryCreate(new CudaOptions { Device = 0 }, out reason))
        {
            if (backend is null)
            {
                Console.WriteLine($"no test can run: {reason}");
                return 1;
            }

            Console.WriteLine(FormattableString.Invariant($"{backend.Description}; driver for CUDA {CudaLibrary.Version}; loaded in {Stopwatch.GetElapsedTime(begin).TotalMilliseconds:F0} ms"));
            if (CudaImage.For(device.Capability, new CudaOptions().ImageFolder).First().Name is var best && best != backend.Kernels.Image)
            {
                Console.WriteLine($"the driver has refused the {best}");
            }
        }

        return Run(args);
    }

    private static int Run(string[] patterns)
    {
        var runner = new NUnitTestAssemblyRunner(new DefaultTestAssemblyBuilder());
        runner.Load(typeof(Program).Assembly, new Dictionary<string, object>());
        string[] all = [.. GoldenCheckpointTests.Supported], missing = [.. all.Where(name => !Directory.Exists(Repository.Find("tests", "NativeSpec.Tests", "Golden", name)))];
        if (missing.Length == all.Length)
        {
            Console.WriteLine($"no family's checkpoint lies under {Repository.Root}");
            return 1;
        }

        Console.WriteLine(missing.Length == 0 ? "all families" : $"without the families {string.Join(", ", missing)}"); // so that the folder is small
        if (Array.Find(patterns, pattern => runner.CountTestCases(TestFilter.FromXml($"<filter>{Matches(pattern)}</filter>")) == 0) is { } none)
        {
            Console.WriteLine($"no test's name matches {none}");
            return 1;
        }

        var left = AnyOf([.. missing.Select(name => $"Golden.*\"{name}\""), "no test has this name"]);
        var result = runner.Run(new Lines(), TestFilter.FromXml($"<filter><and>{AnyOf(patterns.Length == 0 ? [""] : patterns)}<not>{left}</not></and></filter>"));
        Console.WriteLine(FormattableString.Invariant($"{result.PassCount} tests passed, {result.FailCount} failed, {result.SkipCount + result.InconclusiveCount} skipped, {result.Duration:F1} s"));
        return result.FailCount == 0 && result.PassCount > 0 && result.ResultState.Status != TestStatus.Failed ? 0 : 1;
    }

    private static string AnyOf(string[] patterns) => $"<or>{string.Concat(patterns.Select(Matches))}</or>";

    private static string Matches(string pattern) => $"<test re='1'>{System.Security.SecurityElement.Escape(pattern)}</test>";

    /// <summary>A line for each test, with what a failure or a skip says.</summary>
    private sealed class Lines : ITestListener
    {
        public void TestStarted(ITest test)
        {
        }

        public void TestFinished(ITestResult result)
        {
            var ended = result.ResultState;
            if (result.Test.IsSuite && !(ended.Status == TestStatus.Failed && ended.Site is FailureSite.SetUp or FailureSite.TearDown))
            {
                return; // its tests have been told
            }

            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{ended.Status.ToString().ToLowerInvariant(),-8}{result.Duration,7:F2} s  {result.FullName}"));
            if (ended.Status != TestStatus.Passed && result.Message is { Length: > 0 } message)
            {
                Console.WriteLine($"         {message.Trim()}");
                Console.WriteLine(ended.Status == TestStatus.Failed ? result.StackTrace : "");
            }

            if (result.Output is { Length: > 0 } output)
            {
                Console.Write(output);
            }
        }

        public void TestOutput(TestOutput output)
        {
        }

        public void SendMessage(TestMessage message)
        {
        }
    }
}
