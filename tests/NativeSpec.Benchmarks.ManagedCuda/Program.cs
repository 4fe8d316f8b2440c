using System.Globalization;
using NativeSpec.Benchmarks.ManagedCuda;

const int Most = 1_000_000;
int[] numbers = [.. args.Select(argument => int.TryParse(argument, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number is >= 1 and <= Most ? number : -1)];
if (numbers.Length > 2 || numbers.Contains(-1))
{
    Console.Error.WriteLine($"usage: [LAUNCHES [REPEATS]], each 1 to {Most}; by default 1000 and 9");
    return 2;
}

try
{
    using var comparison = new LaunchComparison();
    comparison.Run(launches: numbers is [var launches, ..] ? launches : 1000, repeats: numbers is [_, var repeats] ? repeats : 9, Console.Out);
    return 0;
}
catch (Exception e) when (e is InvalidOperationException or ManagedCuda.CudaException or DllNotFoundException or EntryPointNotFoundException)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
