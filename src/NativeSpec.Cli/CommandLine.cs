using System.CommandLine;
using System.CommandLine.Help;
using System.Reflection;
using NativeSpec.Cli.Benchmarks;
using NativeSpec.Cli.Chatting;
using NativeSpec.Cli.Generation;
using NativeSpec.Cli.Inspection;
using NativeSpec.Cli.Profiles;
using NativeSpec.Cli.Serving;
using NativeSpec.Cli.Training;
using NativeSpec.Cli.Trees;
using NativeSpec.Cli.Tuning;
using NativeSpec.Cli.Weights;

namespace NativeSpec.Cli;

/// <summary>The command <c>nativespec</c>: finds the subcommand, runs it, and turns what went wrong into one line and an exit code.</summary>
internal static class CommandLine
{
    public const int Success = 0;
    public const int Failure = 1;
    public const int Usage = 2;
    public const int Cancelled = 130; // 128 + SIGINT, as shells report it

    /// <summary>Runs one command line.</summary>
    public static async Task<int> RunAsync(string[] args, Terminal terminal, CancellationToken cancellationToken = default)
    {
        // A prompt may begin with @ or hold several dashes; neither means anything but itself.
        var parsed = Root(terminal, args).Parse(args.Length == 0 ? ["--help"] : args, new ParserConfiguration { EnablePosixBundling = false, ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0)
        {
            // A mistyped command is also a missing one; the word that was not understood says more.
            var messages = parsed.Errors.Select(error => OneLine(error.Message).TrimEnd('.')).ToArray();
            var unknown = messages.Where(message => parsed.UnmatchedTokens.Any(token => message.Contains($"'{token}'", StringComparison.Ordinal))).ToArray();
            var path = string.Join(' ', PathTo(parsed.CommandResult));
            return Complain(terminal, Usage, $"{string.Join("; ", unknown.Length > 0 ? unknown : messages)} ({path} --help shows what there is)");
        }

        try
        {
            var configuration = new InvocationConfiguration
            {
                Output = terminal.Out,
                Error = terminal.Error,
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null, // Program.cs listens to Ctrl+C itself
            };
            return await parsed.InvokeAsync(configuration, cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return Cancelled;
        }
        catch (UsageException error)
        {
            return Complain(terminal, Usage, error.Message);
        }
#pragma warning disable CA1031 // Whatever it was, the user gets a line that says so rather than a stack trace.
        catch (Exception error)
#pragma warning restore CA1031
        {
            return Complain(terminal, Failure, parsed.GetValue(CommonOptions.Verbose) ? error.ToString() : OneLine(Message(error)));
        }
        finally
        {
            await terminal.Out.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>An exception's message without the name of the method's parameter, which means nothing on a command line.</summary>
    public static string Message(Exception error) => error is ArgumentException { ParamName: { } name }
        ? error.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal)
        : error.Message;

    /// <summary>The commands by their names. Each is made where it is asked for: all their options together are a third of what the command compiles when it starts.</summary>
    internal static IReadOnlyList<(string Name, Func<Terminal, Command> Make)> Commands { get; } =
    [
        ("demo", terminal => new DemoCommand(terminal)),
        ("generate", terminal => new GenerateCommand(terminal)),
        ("chat", terminal => new ChatCommand(terminal)),
        ("serve", terminal => new ServeCommand(terminal)),
        ("inspect", terminal => new InspectCommand(terminal)),
        ("tokenize", terminal => new TokenizeCommand(terminal)),
        ("eval", terminal => new EvalCommand(terminal)),
        ("bench", terminal => new BenchCommand(terminal)),
        ("tune", terminal => new TuneCommand(terminal)),
        ("profile", terminal => new ProfileCommand(terminal)),
        ("tree", terminal => new TreeCommand(terminal)),
        ("convert", terminal => new ConvertCommand(terminal)),
        ("train", terminal => new TrainCommand(terminal)),
        ("quantize", terminal => new QuantizeCommand(terminal)),
    ];

    /// <summary>The root with the command that is asked for, or with all of them where none is; with help and version where they may be asked for, because their
    /// descriptions come from the library's resources, and finding those takes as long as all other options.</summary>
    private static Command Root(Terminal terminal, string[] args)
    {
        var asked = args.Length > 0 ? args[0] : null;
        // Not a RootCommand, which would call itself after the file it was started from.
        var root = new Command("nativespec", "Writes text with Llama-family models.")
        {
            CommonOptions.Verbose,
        };
        var isKnown = false;
        foreach (var (name, _) in Commands)
        {
            isKnown |= name == asked;
        }

        foreach (var (name, make) in Commands)
        {
            if (!isKnown || name == asked)
            {
                root.Add(make(terminal));
            }
        }

        if (!isKnown)
        {
            root.Add(new VersionOption { Action = new PrintVersion() });
        }

        if (!isKnown || Array.Exists(args, argument => argument is "--help" or "-h" or "-?" or "/h" or "/?"))
        {
            var help = new HelpOption();
            help.Action = new HelpWithExamples((HelpAction)help.Action!);
            root.Add(help);
        }

        Numbers.ReadStrictly(root);
        return root;
    }

    private static List<string> PathTo(System.CommandLine.Parsing.SymbolResult? result)
    {
        List<string> path = [];
        for (; result is System.CommandLine.Parsing.CommandResult command; result = result.Parent)
        {
            path.Insert(0, command.Command.Name);
        }

        return path;
    }

    private static int Complain(Terminal terminal, int code, string message)
    {
        terminal.Error.WriteLine($"nativespec: {message}");
        return code;
    }

    private static string OneLine(string message) => message.ReplaceLineEndings(" ").Trim();

    /// <summary>The usual help, then the command's examples.</summary>
    private sealed class HelpWithExamples(HelpAction help) : System.CommandLine.Invocation.SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            help.Invoke(parseResult);
            var output = parseResult.InvocationConfiguration.Output;
            if (parseResult.CommandResult.Command is IHasExamples { Examples: var examples })
            {
                output.WriteLine("Examples:");
                foreach (var example in examples)
                {
                    output.WriteLine($"  {example}");
                }

                output.WriteLine();
            }

            return Success;
        }
    }

    private sealed class PrintVersion : System.CommandLine.Invocation.SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            var version = typeof(CommandLine).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;
            parseResult.InvocationConfiguration.Output.WriteLine($"nativespec {version.Split('+')[0]}");
            return Success;
        }
    }
}

/// <summary>A command that shows how it is used.</summary>
internal interface IHasExamples
{
    /// <summary>Whole command lines.</summary>
    IReadOnlyList<string> Examples { get; }
}

/// <summary>The command line asks for something that cannot be; found before any work.</summary>
internal sealed class UsageException(string message) : Exception(message);
