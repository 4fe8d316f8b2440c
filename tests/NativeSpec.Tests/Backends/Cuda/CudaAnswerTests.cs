using NativeSpec.Backends;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>Answers of the CUDA kernels.</summary>
public sealed class CudaAnswerTests : DeviceAnswerTests
{
    [OneTimeTearDown]
    public void AskTheDriver() => Assert.That(CudaEmulator.IsBuilt ? CudaEmulator.Problems() : "", Is.Empty);

    private protected override IBackend Create() => CudaEmulator.Create();
}
