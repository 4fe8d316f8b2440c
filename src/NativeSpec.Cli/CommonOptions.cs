using System.CommandLine;
using System.Globalization;
using NativeSpec.Chat;
using NativeSpec.Loading;

namespace NativeSpec.Cli;

/// <summary>Options that mean the same in every command.</summary>
internal static class CommonOptions
{
    /// <summary>One for all commands, given before or after the command's name.</summary>
    public static Option<bool> Verbose { get; } = new("--verbose") { Description = "Show where an error came from", Recursive = true };

    public static Option<string> Model() => new("--model")
    {
        Description = "Folder of the checkpoint: config.json, model.safetensors (or its index and shards), tokenizer",
        HelpName = "DIR",
        Required = true,
    };

    public static Option<bool> Json() => new("--json") { Description = "Print one JSON object" };

    public static Option<int?> Threads() => new("--threads")
    {
        Description = "Threads that compute; by default NATIVESPEC_THREADS, or else all that the process may use, but one where there are eight or more",
        HelpName = "N",
    };

    public static Option<string?> ChatTemplate() => new("--chat-template")
    {
        Description = "A built-in chat template by name, or a file with one, where the model has none or another",
        HelpName = "NAME|FILE",
    };

    /// <summary>What <see cref="ChatTemplate"/> says: a built-in template's name, or the text of a file.</summary>
    /// <exception cref="UsageException">It is neither.</exception>
    public static string? ReadChatTemplate(string? given, Terminal terminal)
        => given is null || ChatTemplates.BuiltInNames.Contains(given) ? given
            : File.Exists(given) ? ReadText(given, terminal)
            : throw new UsageException($"--chat-template is '{given}': no file, and none of {string.Join(", ", ChatTemplates.BuiltInNames)}");

    public static Option<int?> Context(string description) => new("--context") { Description = description, HelpName = "N" };

    /// <summary>Reads <c>1,2,3</c>.</summary>
    /// <exception cref="UsageException">A part is no number.</exception>
    public static int[] ParseIds(string option, string text)
    {
        var parts = text.Split(',');
        var ids = new int[parts.Length];
        for (var i = 0; i < ids.Length; i++)
        {
            if (!int.TryParse(parts[i], NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out ids[i]))
            {
                throw new UsageException($"{option}: '{parts[i]}' is no token id; expected numbers with commas between them, such as 1,2,3");
            }
        }

        return ids;
    }

    /// <summary>Throws when a number is below what makes sense.</summary>
    public static void RequireAtLeast(string option, int? value, int least)
    {
        if (value < least)
        {
            throw new UsageException($"{option} is {value}; expected {least} or more");
        }
    }

    /// <summary>The name that a model goes by: that of its folder.</summary>
    public static string ModelName(string path) => Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)));

    /// <summary>The whole of a UTF-8 text, character for character: nothing is stripped or added.</summary>
    /// <param name="path">The file, or <c>-</c> for standard input.</param>
    /// <param name="terminal">Where standard input is.</param>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="InvalidDataException">It is not UTF-8, or too long for a tokenizer.</exception>
    public static string ReadText(string path, Terminal terminal)
    {
        using var stream = path == "-" ? terminal.OpenInput() : new FileStream(path, FileMode.Open, FileAccess.Read);
        return ReadText(stream, path == "-" ? "standard input" : path);
    }

    private static string ReadText(Stream stream, string name)
    {
        var most = LoadLimits.Default.MaxTextLength;
        using var bytes = new MemoryStream();
        var piece = new byte[1 << 16];
        for (int read; (read = stream.Read(piece)) > 0;)
        {
            bytes.Write(piece, 0, read);
            if (bytes.Length > most)
            {
                throw new InvalidDataException($"{name} has more than {most} bytes; split it");
            }
        }

        var utf8 = bytes.GetBuffer().AsSpan(0, (int)bytes.Length);
        if (!System.Text.Unicode.Utf8.IsValid(utf8))
        {
            throw new InvalidDataException($"{name} is not UTF-8 text; convert it first");
        }

        return System.Text.Encoding.UTF8.GetString(utf8);
    }
}
