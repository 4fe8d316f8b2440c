using Microsoft.Win32.SafeHandles;

namespace NativeSpec.Loading;

/// <summary>Opens and reads files of a checkpoint. Whatever goes wrong is a <see cref="ModelFormatException"/> that names the file.</summary>
internal static class RegularFile
{
    /// <summary>Opens a regular file, or a link to one, for reading; others may read it meanwhile, but not write (where the system
    /// keeps such promises). Folders, pipes, devices and sockets are refused without waiting for them.</summary>
    /// <param name="path">The file.</param>
    /// <param name="length">Its length in bytes, read once; at least 1.</param>
    public static SafeFileHandle Open(string path, out long length)
    {
        if (Directory.Exists(path))
        {
            throw new ModelFormatException(path, "is a folder; expected a file");
        }

        try
        {
            var info = new FileInfo(path);
            info = info.ResolveLinkTarget(returnFinalTarget: true) as FileInfo ?? info;
            if (!info.Exists)
            {
                throw new FileNotFoundException();
            }

            // To open a pipe for reading waits until somebody writes. Pipes, devices and sockets all have length 0, so the question is
            // settled before the file is opened.
            if (info.Length == 0)
            {
                throw new ModelFormatException(path, "is empty or not a regular file; fetch it again");
            }

            var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            length = RandomAccess.GetLength(handle);
            return handle;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new ModelFormatException(path, "does not exist", e);
        }
        catch (Exception e) when (IsFileError(e))
        {
            throw new ModelFormatException(path, $"cannot be opened: {e.Message}", e);
        }
    }

    /// <summary>Reads a whole small file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maxBytes">The most it may hold; checked before anything is allocated.</param>
    /// <param name="limitName">The property of <see cref="LoadLimits"/> that says so, for the message.</param>
    public static byte[] ReadAll(string path, int maxBytes, string limitName)
    {
        using var handle = Open(path, out var length);
        if (length > maxBytes)
        {
            throw new ModelFormatException(path, $"holds {length} bytes; at most {maxBytes} are read (raise LoadLimits.{limitName} if the file is right)");
        }

        var bytes = new byte[length];
        ReadExactly(path, handle, bytes, 0);
        return bytes;
    }

    /// <summary>Reads the first bytes of a file, or all where it has fewer.</summary>
    public static byte[] ReadStart(string path, int most)
    {
        using var handle = Open(path, out var length);
        var bytes = new byte[Math.Min(length, most)];
        ReadExactly(path, handle, bytes, 0);
        return bytes;
    }

    /// <summary>Fills <paramref name="target"/> from the file, beginning at <paramref name="offset"/>.</summary>
    public static void ReadExactly(string path, SafeFileHandle handle, Span<byte> target, long offset)
    {
        try
        {
            for (var done = 0; done < target.Length;)
            {
                var read = RandomAccess.Read(handle, target[done..], offset + done);
                if (read == 0)
                {
                    throw new ModelFormatException(path, $"ended at byte {offset + done} while it was read; expected {offset + target.Length} bytes or more");
                }

                done += read;
            }
        }
        catch (Exception e) when (IsFileError(e))
        {
            throw new ModelFormatException(path, $"cannot be read: {e.Message}", e);
        }
    }

    /// <summary>The exceptions with which the platform refuses a file.</summary>
    public static bool IsFileError(Exception e) => e is IOException or UnauthorizedAccessException or NotSupportedException;
}
