using NativeSpec.Backends;
using NativeSpec.Tests.Backends;

namespace NativeSpec.Ilgpu.Tests;

/// <summary>Answers of the ILGPU kernels.</summary>
public sealed class AnswerTests : DeviceAnswerTests
{
    private protected override IBackend Create() => TestBackend.All.First().Create();
}
