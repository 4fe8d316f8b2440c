using System.Globalization;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
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
        Runs the tests whose full names match one of the regular expressions; without any, all.
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

        Console.WriteLine($"{device.Name}, sm_{device.Capability}, driver for CUDA {CudaLibrary.Version}");
        return Run(args);
    }

    private static int Run(string[] patterns)
    {
        var runner = new NUnitTestAssemblyRunner(new DefaultTestAssemblyBuilder());
        runner.Load(typeof(Program).Assembly, new Dictionary<string, object>());
        var result = runner.Run(new Lines(), TestFilter.FromXml($"<filter><and>{Wanted(patterns)}<not>{Missing()}</not></and></filter>"));
        Console.WriteLine(FormattableString.Invariant($"{result.PassCount} tests passed, {result.FailCount} failed, {result.SkipCount + result.InconclusiveCount} skipped, {result.Duration:F1} s"));
        return result.FailCount == 0 && result.PassCount > 0 && result.ResultState.Status != TestStatus.Failed ? 0 : 1;
    }

    private static string Wanted(string[] patterns) => patterns.Length == 0 ? Matches("") : $"<or>{string.Concat(patterns.Select(Matches))}</or>";

    /// <summary>The families whose checkpoints were left out, so that the folder is small.</summary>
    private static string Missing()
    {
        var missing = GoldenCheckpointTests.Supported.Where(name => !Directory.Exists(Repository.Find("tests", "NativeSpec.Tests", "Golden", name))).ToArray();
        Console.WriteLine(missing.Length == 0 ? "all families" : $"without the families {string.Join(", ", missing)}");
        return $"<or>{Matches("no test has this name")}{string.Concat(missing.Select(name => Matches($"Golden.*\"{name}\"")))}</or>";
    }

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
