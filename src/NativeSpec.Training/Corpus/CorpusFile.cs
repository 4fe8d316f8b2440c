using System.Text;
using NativeSpec.Loading;

namespace NativeSpec.Training.Corpus;

/// <summary>A text file of documents. Each document is followed by a line that holds only <see cref="Separator"/>.</summary>
public static class CorpusFile
{
    /// <summary>What stands between documents; tokenizers made from a corpus have it as the control token that begins and ends a text.</summary>
    public const string Separator = "<|endoftext|>";

    /// <summary>Longest file in bytes.</summary>
    public const long MaxLength = 1L << 30;

    /// <summary>The documents of a file, each ending in a line break, without the separators.</summary>
    /// <param name="path">The file, in UTF-8.</param>
    /// <exception cref="ModelFormatException">The file cannot be read, is too long, is no UTF-8, or holds no document.</exception>
    public static IReadOnlyList<string> ReadDocuments(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        List<string> documents = [];
        var document = new StringBuilder();
        try
        {
            var length = new FileInfo(path).Length;
            if (length > MaxLength)
            {
                throw new ModelFormatException(path, $"has {length} bytes: expected a corpus of at most {MaxLength}");
            }

            using var reader = new StreamReader(path, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true));
            while (reader.ReadLine() is { } line)
            {
                if (line == Separator)
                {
                    Add();
                }
                else
                {
                    document.Append(line).Append('\n');
                }
            }

            Add();
        }
        catch (DecoderFallbackException error)
        {
            throw new ModelFormatException(path, $"is not UTF-8 text after document {documents.Count}: {error.Message}", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ModelFormatException(path, $"cannot be read: {error.Message}", error);
        }

        return documents.Count > 0 ? documents
            : throw new ModelFormatException(path, $"holds no document: expected text, with lines of {Separator} between documents");

        void Add()
        {
            if (document.Length > 0)
            {
                documents.Add(document.ToString());
                document.Clear();
            }
        }
    }

    /// <summary>Writes documents. The file appears under its name only when it is whole and on disk.</summary>
    /// <param name="path">The file; one that exists is replaced.</param>
    /// <param name="documents">The documents, each ending in a line break.</param>
    /// <returns>The number of bytes of the documents, without the separators.</returns>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static long Write(string path, IEnumerable<string> documents)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(documents);
        long bytes = 0;
        AtomicFile.Write(path, stream =>
        {
            using var writer = new StreamWriter(stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), 1 << 16, leaveOpen: true) { NewLine = "\n" };
            foreach (var document in documents)
            {
                writer.Write(document);
                writer.WriteLine(Separator);
                bytes += Encoding.UTF8.GetByteCount(document);
            }
        });
        return bytes;
    }
}
