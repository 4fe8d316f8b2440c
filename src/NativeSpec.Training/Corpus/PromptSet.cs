using System.Text.Encodings.Web;
using System.Text.Json;
using NativeSpec.Loading;

namespace NativeSpec.Training.Corpus;

/// <summary>Prompts to measure with: the beginnings of documents that a model has not been trained with, so that it writes the comments.</summary>
public static class PromptSet
{
    private const string CommentLine = "\n///";

    /// <summary>Namespace and signature of documents that describe a parameter, so that there is something to write; spread evenly over all of
    /// them.</summary>
    /// <param name="documents">Documents of a <see cref="DocumentationCorpus"/>.</param>
    /// <param name="count">Most prompts.</param>
    public static IReadOnlyList<string> Of(IReadOnlyList<string> documents, int count)
    {
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        string[] suitable = [.. documents.Where(document => document.Contains($"{CommentLine} <param ", StringComparison.Ordinal))];
        count = Math.Min(count, suitable.Length);
        return [.. Enumerable.Range(0, count)
            .Select(i => suitable[(int)((long)i * suitable.Length / count)])
            .Select(document => document[..(document.IndexOf(CommentLine, StringComparison.Ordinal) + 1)])];
    }

    /// <summary>Writes prompts as JSON lines with the field <c>prompt</c>. The file appears under its name only when it is whole.</summary>
    /// <param name="path">The file; one that exists is replaced.</param>
    /// <param name="prompts">The prompts.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, IEnumerable<string> prompts)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(prompts);
        AtomicFile.Write(path, stream =>
        {
            foreach (var prompt in prompts)
            {
                using (var json = new Utf8JsonWriter(stream, new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
                {
                    json.WriteStartObject();
                    json.WriteString("prompt", prompt);
                    json.WriteEndObject();
                }

                stream.WriteByte((byte)'\n');
            }
        });
    }
}
