using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Tests.Backends.Cuda;

namespace NativeSpec;

/// <summary>No test computes on a device that it did not ask for, a real one neither; and where the emulated driver is built it is the driver.</summary>
[SetUpFixture]
public sealed class NoDevice
{
    [OneTimeSetUp]
    public void TakeTheEmulator()
    {
        Environment.SetEnvironmentVariable(CudaDevice.NumberVariable, CudaDevice.NoDevice);
        Environment.SetEnvironmentVariable(CudaLibrary.PathVariable, CudaEmulator.Path);
    }
}
