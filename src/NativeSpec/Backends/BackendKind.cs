namespace NativeSpec.Backends;

/// <summary>The backends that an engine can be told to take.</summary>
public enum BackendKind
{
    /// <summary>The managed kernels: there on every machine.</summary>
    Cpu,
    /// <summary>The C++ kernels: there where the native library was built for the machine.</summary>
    Native,
    /// <summary>The CUDA kernels: there where a driver and a device of compute capability 8.0 or more are.</summary>
    Cuda,
}
