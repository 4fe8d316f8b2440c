using System.Text;
using System.Text.RegularExpressions;
using NativeSpec.Tests;

namespace NativeSpec.Cli.Tests;

/// <summary>Every command that README.md shows runs as printed, with what it prints, in a folder that has the repository's files.</summary>
[NonParallelizable]
public sealed partial class ReadmeTests
{
    private const string Prompt = "    $ ";

    private string _folder = null!;
    private string _before = null!;

    /// <summary>The commands, in their order.</summary>
    public static IEnumerable<string> Commands => Examples.Value.Select(example => example.Command).Where(command => !IsOfTheServer(command));

    private static readonly Lazy<List<(string Command, string[] Output)>> Examples = new(() => Read(File.ReadAllLines(Repository.Find("README.md"))));

    [OneTimeSetUp]
    public void MakeFolder()
    {
        _folder = Directory.CreateTempSubdirectory("nativespec-readme-").FullName;
        var root = Path.GetDirectoryName(Repository.Find("README.md"))!;
        Directory.CreateSymbolicLink(Path.Combine(_folder, "models"), Path.Combine(root, "models"));
        File.Copy(Path.Combine(root, "LICENSE"), Path.Combine(_folder, "LICENSE"));
        _before = Environment.CurrentDirectory;
        Environment.CurrentDirectory = _folder;
        Environment.SetEnvironmentVariable("NATIVESPEC_PROFILE_DIR", Path.Combine(_folder, "profiles"));
    }

    [OneTimeTearDown]
    public void DeleteFolder()
    {
        Environment.SetEnvironmentVariable("NATIVESPEC_PROFILE_DIR", "");
        Environment.CurrentDirectory = _before;
        Directory.Delete(Path.Combine(_folder, "models"));
        Directory.Delete(_folder, recursive: true);
    }

    [TestCaseSource(nameof(Commands))]
    public async Task ACommand_RunAsPrinted_PrintsWhatIsPrinted(string command)
    {
        var (words, input) = Parse(command);
        Assert.That(words[0], Is.EqualTo("nativespec"));

        var run = await CliRun.WithInput(CliRun.Utf8(input), [.. words.Skip(1)]);

        if (run.Error.Contains("need the native backend", StringComparison.Ordinal) || run.Error.Contains("native library", StringComparison.Ordinal))
        {
            Assert.Ignore(run.Error); // packed weights
        }

        Assert.That((run.Code, run.Error), Is.EqualTo((0, "")), command);
        Assert.That(run.Out, Is.Not.Empty);
        var printed = Examples.Value.Single(example => example.Command == command).Output;
        var lines = run.Out.ReplaceLineEndings("\n").Split('\n').Select(Comparable).Where(line => line.Length > 0).ToArray();
        var isCut = printed is [.., "…"];
        string[] expected = [.. (isCut ? printed[..^1] : printed).Select(Comparable).Where(line => line.Length > 0)];
        Assert.That(expected.Length == 0 || isCut ? lines.Take(expected.Length) : lines, Is.EqualTo(expected), run.Out);
    }

    /// <summary>The server, but on a port that is free, and what curl sends it.</summary>
    [Test]
    public async Task TheServer_RunAsPrinted_AnswersWhatCurlSends()
    {
        string[] commands = [.. Examples.Value.Select(example => example.Command).Where(IsOfTheServer)];
        Assert.That(commands, Has.Length.EqualTo(2));
        using var output = new StringWriter();
        var terminal = new Terminal { OpenInput = () => Stream.Null, Out = TextWriter.Synchronized(output), Error = TextWriter.Null, IsOutRedirected = true, IsErrorRedirected = true };
        using var stop = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        var serving = CommandLine.RunAsync([.. Parse(commands[0]).Words.Skip(1).TakeWhile(word => word != "&"), "--urls", "http://127.0.0.1:0"], terminal, stop.Token);
        try
        {
            Match address;
            while (!(address = Address().Match(Said())).Success)
            {
                Assert.That(serving.IsCompleted, Is.False, Said());
                await Task.Delay(20, stop.Token);
            }

            var curl = Curl().Match(commands[1]);
            Assert.That(curl.Success, commands[1]);
            using var client = new HttpClient();
            using var body = new StringContent(curl.Groups[2].Value, Encoding.UTF8, "application/json");
            using var response = await client.PostAsync(new Uri(address.Value + curl.Groups[1].Value), body);
            Assert.That((int)response.StatusCode, Is.EqualTo(200), await response.Content.ReadAsStringAsync());
        }
        finally
        {
            await stop.CancelAsync();
            await serving;
        }

        string Said()
        {
            lock (terminal.Out) // as its own methods do
            {
                return output.ToString();
            }
        }
    }

    [Test]
    public void TheReadme_ShowsTheCommandOnlyWhereThisTestRunsIt()
    {
        Assert.That(Examples.Value, Has.Count.AtLeast(10));
        Assert.That(File.ReadAllLines(Repository.Find("README.md")), Has.None.Matches<string>(line => line.TrimStart().StartsWith("nativespec ", StringComparison.Ordinal)));
    }

    private static bool IsOfTheServer(string command) => command.StartsWith("nativespec serve ", StringComparison.Ordinal) || command.StartsWith("curl ", StringComparison.Ordinal);

    /// <summary>What is the same on every machine: measured numbers have a point, and the last bits of computed ones differ.</summary>
    private static string Comparable(string line) => Measured().Replace(line, "#").TrimEnd();

    /// <summary>The indented blocks: a command after a dollar, to the end of its quotes, and what it prints.</summary>
    private static List<(string Command, string[] Output)> Read(string[] lines)
    {
        List<(string Command, string[] Output)> examples = [];
        for (var i = 0; i < lines.Length; i++)
        {
            if (!lines[i].StartsWith(Prompt, StringComparison.Ordinal))
            {
                continue;
            }

            var command = lines[i][Prompt.Length..];
            while (command.Count(c => c == '"') % 2 == 1)
            {
                command += "\n" + lines[++i][4..];
            }

            List<string> output = [];
            while (i + 1 < lines.Length && lines[i + 1].StartsWith("    ", StringComparison.Ordinal) && !lines[i + 1].StartsWith(Prompt, StringComparison.Ordinal))
            {
                output.Add(lines[++i][4..]);
            }

            examples.Add((command, [.. output]));
        }

        return examples;
    }

    /// <summary>Words and quotes, and what printf pipes in.</summary>
    private static (List<string> Words, string Input) Parse(string command)
    {
        var input = "";
        if (Piped().Match(command) is { Success: true } pipe)
        {
            (input, command) = (pipe.Groups[1].Value, command[pipe.Length..]);
        }

        List<string> words = [];
        var (word, isQuoted) = (new StringBuilder(), false);
        foreach (var c in command + " ")
        {
            if (c == '"')
            {
                isQuoted = !isQuoted;
            }
            else if (c != ' ' || isQuoted)
            {
                word.Append(c);
            }
            else if (word.Length > 0)
            {
                words.Add(word.ToString());
                word.Clear();
            }
        }

        return (words, input);
    }

    [GeneratedRegex(@"\d+\.\d+")]
    private static partial Regex Measured();

    [GeneratedRegex(@"http://127\.0\.0\.1:\d+")]
    private static partial Regex Address();

    [GeneratedRegex(@"^curl http://127\.0\.0\.1:8080(\S+) -H 'content-type: application/json' -d '([^']*)'$")]
    private static partial Regex Curl();

    [GeneratedRegex(@"^printf '([^']*)' \| ")]
    private static partial Regex Piped();
}
