namespace NativeSpec;

/// <summary>No test of the command computes on a device, whatever the machine has: the driver's library is one that is not there.</summary>
[SetUpFixture]
public sealed class NoDevice
{
    [OneTimeSetUp]
    public void TakeTheDriverAway() => Environment.SetEnvironmentVariable("NATIVESPEC_CUDA_LIBRARY", Path.Combine(Path.GetTempPath(), "no-such-driver.so"));
}
