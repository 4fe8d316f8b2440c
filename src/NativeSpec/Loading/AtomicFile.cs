namespace NativeSpec.Loading;

/// <summary>Writes files that are either whole or not there: an interrupted write leaves the old file as it was, and who reads meanwhile, or
/// has the old file mapped, keeps the old one.</summary>
internal static class AtomicFile
{
    private const int BufferBytes = 1 << 16;

    /// <summary>Writes beside the file, forces it to disk, and gives it its name. The folder is made where it is missing.</summary>
    /// <param name="path">The file; one that exists is replaced.</param>
    /// <param name="write">Writes the content; what it throws leaves no trace of the attempt.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        var full = Path.GetFullPath(path);
        var folder = Path.GetDirectoryName(full)!;
        Directory.CreateDirectory(folder);
        var temporary = Path.Combine(folder, $".{Path.GetFileName(full)}.{Guid.NewGuid():N}.tmp");
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, BufferBytes))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }

            File.Move(temporary, full, overwrite: true);
        }
        catch (ArgumentOutOfRangeException error) when (error is { ParamName: "value", ActualValue: null })
        {
            // So .NET reports EFBIG, a file longer than the file system or the process's limit allows: it names no value, as a bad argument would.
            File.Delete(temporary);
            throw new IOException($"File too large : '{full}'", error);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }
}
