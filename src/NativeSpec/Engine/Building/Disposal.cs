using System.Runtime.ExceptionServices;

namespace NativeSpec.Engine.Building;

/// <summary>Frees many things of which some may be anybody's.</summary>
internal static class Disposal
{
    /// <summary>Disposes of all, in order, whatever one of them throws; then throws the first of what they threw.</summary>
    /// <param name="all">What is freed; null where there is nothing.</param>
    public static void OfAll(params IEnumerable<IDisposable?> all)
    {
        Exception? first = null;
        foreach (var one in all)
        {
            try
            {
                one?.Dispose();
            }
#pragma warning disable CA1031 // It is thrown when all is free.
            catch (Exception error)
#pragma warning restore CA1031
            {
                first ??= error;
            }
        }

        if (first is not null)
        {
            ExceptionDispatchInfo.Throw(first);
        }
    }
}
