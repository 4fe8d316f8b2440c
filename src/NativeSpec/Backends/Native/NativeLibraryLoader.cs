using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeSpec.Backends.Native;

/// <summary>Finds the native library once per process: where .NET looks for native libraries (beside the assembly, or the package's
/// runtimes/&lt;rid&gt;/native), or else at the path that NATIVESPEC_NATIVE_LIBRARY gives.</summary>
internal static class NativeLibraryLoader
{
    /// <summary>The environment variable that names another library file.</summary>
    public const string PathVariable = "NATIVESPEC_NATIVE_LIBRARY";

    private static readonly Lazy<string> Missing = new(Load);

    /// <summary>Why there is no library, in one line; null when there is one.</summary>
    /// <exception cref="InvalidOperationException">There is one, but of another interface version.</exception>
    public static string? WhyMissing => Missing.Value.Length == 0 ? null : Missing.Value;

    /// <summary>Compares what a library says of itself with what this assembly was written for.</summary>
    /// <exception cref="InvalidOperationException">They differ.</exception>
    internal static void CheckAbi(int version, int part, int batch, int kv, int step)
    {
        CheckVersion(version);
        var expected = (Unsafe.SizeOf<NativePart>(), Unsafe.SizeOf<NativeBatch>(), Unsafe.SizeOf<NativeKvView>(), Unsafe.SizeOf<NativeStep>());
        if ((part, batch, kv, step) != expected)
        {
            throw new InvalidOperationException(
                $"the native library '{NativeMethods.Library}' has structures of {(part, batch, kv, step)} bytes, this assembly of {expected}: build both from the same sources");
        }
    }

    private static void CheckVersion(int version)
    {
        if (version != NativeMethods.AbiVersion)
        {
            throw new InvalidOperationException(
                $"the native library '{NativeMethods.Library}' has interface version {version}, this assembly needs {NativeMethods.AbiVersion}: build both from the same sources");
        }
    }

    private static string Load()
    {
        var assembly = typeof(NativeLibraryLoader).Assembly;
        if (Environment.GetEnvironmentVariable(PathVariable) is { Length: > 0 } path)
        {
            if (!NativeLibrary.TryLoad(path, out var chosen))
            {
                return $"no native library could be loaded from '{path}' ({PathVariable})";
            }

            NativeImports.Provide(NativeMethods.Library, chosen);
        }
        else if (!NativeLibrary.TryLoad(NativeMethods.Library, assembly, null, out _))
        {
            return $"no native library '{NativeMethods.Library}' was built for {RuntimeInformation.RuntimeIdentifier}";
        }

        // The version first: another one's structures may be asked for in another way.
        var version = NativeMethods.GetAbiVersion();
        CheckVersion(version);
        NativeMethods.GetStructSizes(out var part, out var batch, out var kv, out var step);
        CheckAbi(version, part, batch, kv, step);
        return "";
    }
}
