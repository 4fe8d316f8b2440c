using System.Text;

namespace NativeSpec.Backends.Cuda.Driver;

/// <summary>What a device is.</summary>
/// <param name="Number">Its place in the driver's list.</param>
/// <param name="Handle">The driver's number of it.</param>
/// <param name="Name">Its name.</param>
/// <param name="Capability">10 · major + minor: 80, 90, …</param>
/// <param name="Memory">Bytes of its memory.</param>
/// <param name="Multiprocessors">Multiprocessors.</param>
/// <param name="SharedBytes">Shared memory of a multiprocessor.</param>
/// <param name="BlockSharedBytes">Shared memory that one block may have.</param>
internal sealed record CudaDevice(int Number, int Handle, string Name, int Capability, long Memory, int Multiprocessors, int SharedBytes, int BlockSharedBytes)
{
    /// <summary>What the kernels need.</summary>
    public const int LeastCapability = 80;

    /// <summary>The environment variable that names a device by its number, or <see cref="NoDevice"/>.</summary>
    public const string NumberVariable = "NATIVESPEC_CUDA_DEVICE";

    /// <summary>What the variable says where no device is to be taken that nobody asked for by its number.</summary>
    public const string NoDevice = "none";

    internal const string NoneFound = "the CUDA driver finds no device";

    /// <summary>Whether kernels may begin before those in front of them have ended.</summary>
    public bool HasDependentLaunch => Capability >= 90;

    /// <summary>A device, or in one sentence why there is none to use.</summary>
    /// <param name="number">Its place in the driver's list; null takes the environment's, or the first.</param>
    /// <param name="reason">Why there is none; null when there is one.</param>
    public static unsafe CudaDevice? Find(int? number, out string? reason)
    {
        var (place, named) = (number ?? 0, number is null ? Environment.GetEnvironmentVariable(NumberVariable) : null);
        if (named is { Length: > 0 } && !int.TryParse(named, out place))
        {
            reason = named == NoDevice ? $"no CUDA device is to be taken: {NumberVariable} is {NoDevice}" : $"{NumberVariable} is '{named}'; expected a device's number, or {NoDevice}";
            return null;
        }

        reason = CudaLibrary.WhyMissing ?? CudaLibrary.WhyTooOld();
        if (reason is not null)
        {
            return null;
        }

        int count, device;
        var code = CudaMethods.DeviceGetCount(&count);
        if (code != 0 || count == 0)
        {
            reason = code is 0 or CudaErrors.NoDevice ? NoneFound : $"the CUDA driver does not say what devices there are: {CudaErrors.Describe(code)}";
            return null;
        }

        if ((uint)place >= (uint)count)
        {
            reason = $"there is no CUDA device {place}; there {(count == 1 ? "is 1, number 0" : $"are {count}, numbers 0 to {count - 1}")}";
            return null;
        }

        var name = stackalloc byte[256];
        nuint memory = 0;
        code = CudaMethods.DeviceGet(&device, place);
        code = code != 0 ? code : CudaMethods.DeviceGetName(name, 256, device);
        code = code != 0 ? code : CudaMethods.DeviceTotalMem(&memory, device);
        var handle = device;
        var found = code != 0 ? null : new CudaDevice(
            place, handle, Encoding.UTF8.GetString(name, new ReadOnlySpan<byte>(name, 256).IndexOf((byte)0) is var length and >= 0 ? length : 256),
            (10 * Attribute(DeviceAttribute.ComputeCapabilityMajor)) + Attribute(DeviceAttribute.ComputeCapabilityMinor), (long)memory,
            Attribute(DeviceAttribute.MultiprocessorCount), Attribute(DeviceAttribute.SharedBytesPerMultiprocessor), Attribute(DeviceAttribute.SharedBytesPerBlockOptIn));
        if (code != 0)
        {
            reason = $"the CUDA device {place} does not say what it is: {CudaErrors.Describe(code)}";
            return null;
        }

        reason = found!.Capability < LeastCapability
            ? $"the CUDA device {place}, {found.Name}, has compute capability {found.Capability / 10}.{found.Capability % 10}; the kernels need {LeastCapability / 10}.{LeastCapability % 10}"
            : found.BlockSharedBytes < CudaKernels.LeastSharedBytes
            ? $"the CUDA device {place}, {found.Name}, gives a block {found.BlockSharedBytes} bytes of shared memory; the kernels need {CudaKernels.LeastSharedBytes}"
            : null;
        return reason is null ? found : null;

        int Attribute(DeviceAttribute attribute)
        {
            int value = 0;
            code = code != 0 ? code : CudaMethods.DeviceGetAttribute(&value, attribute, handle);
            return value;
        }
    }
}
