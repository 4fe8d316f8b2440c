using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace NativeSpec.Backends;

/// <summary>Libraries that are imported from by a name of this assembly's own and lie wherever a loader has found them. An assembly has one resolver,
/// so loaders meet here.</summary>
internal static class NativeImports
{
    private static readonly ConcurrentDictionary<string, nint> Handles = [];

#pragma warning disable CA1810 // The resolver is set with the first library, and once.
    static NativeImports() => NativeLibrary.SetDllImportResolver(typeof(NativeImports).Assembly, static (wanted, _, _) => Handles.GetValueOrDefault(wanted));
#pragma warning restore CA1810

    /// <summary>From now on imports from <paramref name="name"/> are taken from this library.</summary>
    public static void Provide(string name, nint library) => Handles[name] = library;
}
