using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using NativeSpec.Engine;
using NativeSpec.Extensions.AI;
using NativeSpec.Server;

namespace NativeSpec.Cli.Serving;

/// <summary><c>nativespec serve</c>: an OpenAI-compatible server around one model.</summary>
internal sealed class ServeCommand : Command, IHasExamples
{
    private readonly Terminal _terminal;
    private readonly Option<string> _model = CommonOptions.Model();
    private readonly Option<string[]> _urls = new("--urls") { Description = $"Where to listen, also several times (default {ServerHost.DefaultUrl}: this machine alone)", HelpName = "URL" };
    private readonly Option<string[]> _keys = new("--api-key") { Description = "A key of which requests must bring one, also several times; also from NATIVESPEC_API_KEY, which no list of processes shows", HelpName = "KEY" };
    private readonly Option<string?> _name = new("--name") { Description = "The model's name in requests (default: its folder's)", HelpName = "NAME" };
    private readonly Option<string?> _template = CommonOptions.ChatTemplate();
    private readonly Option<int?> _context = CommonOptions.Context("Most tokens of prompt and output together; by default the model's limit");
    private readonly Option<int?> _sequences = Count("--sequences", "Requests that are computed together (default 16)");
    private readonly Option<int?> _waiting = Count("--max-waiting", "Requests that wait beyond those; one more is answered 429 (default 1024)");
    private readonly Option<long?> _kvTokens = new("--kv-tokens") { Description = "Tokens whose keys and values are kept for all requests together (default: what fits)", HelpName = "N" };
    private readonly Option<int?> _maxTokens = Count("--max-tokens", "Most tokens of a text, whatever is asked for");
    private readonly Option<int?> _choices = Count("--max-choices", "Most texts of one request (default 8)");
    private readonly Option<int?> _perClient = Count("--max-per-client", "Most requests of one key or address at once; one more is answered 429 (default 256)");
    private readonly Option<long?> _body = new("--max-body") { Description = "Most bytes of a request (default 4194304)", HelpName = "BYTES" };
    private readonly Option<double?> _firstToken = new("--first-token-timeout") { Description = "Seconds that the first token may take; then 503 (default: no limit)", HelpName = "S" };
    private readonly Option<double?> _drain = new("--drain-timeout") { Description = "Seconds that running requests have when the process is to end (default 30)", HelpName = "S" };
    private readonly Option<bool> _noPrefixCache = new("--no-prefix-cache") { Description = "Compute every prompt anew" };
    private readonly ComputeFlags _compute;
    private readonly SpeculationFlags _speculation = new();

    public ServeCommand(Terminal terminal)
        : base("serve", "Serve a model over HTTP, as OpenAI's clients expect it (docs/server.md)")
    {
        _terminal = terminal;
        _compute = new ComputeFlags(terminal);
        Option[] options =
        [
            _model, _urls, _keys, _name, _template, _context, _sequences, _waiting, _kvTokens, _maxTokens, _choices, _perClient, _body, _firstToken, _drain, _noPrefixCache,
            .. _compute.All, .. _speculation.DrafterOptions,
        ];
        Array.ForEach(options, Add);
        SetAction(RunAsync);
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec serve --model models/tinyllama",
        "nativespec serve --model models/tinyllama --draft-model models/tiny --urls http://0.0.0.0:8080 --api-key \"$KEY\"",
        "nativespec serve --model models/doc-comments --chat-template plain",
    ];

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var began = Stopwatch.GetTimestamp();
        var path = parsed.GetValue(_model)!;
        var urls = parsed.GetValue(_urls) ?? [];
        WebApplication app;
        try
        {
            app = ServerHost.Create(path, EngineOptions(parsed), urls, options => Configure(parsed, options), logs => logs.Services.AddSingleton<Microsoft.Extensions.Logging.ILoggerProvider>(new TerminalLogs(_terminal)));
        }
        catch (ArgumentException error)
        {
            throw new UsageException(CommandLine.Message(error));
        }

        await using var running = app;
        await app.StartAsync(cancellationToken).ConfigureAwait(false);
        var host = app.Services.GetRequiredService<EngineHost>();
        try
        {
            var engine = await host.LoadedAsync(cancellationToken).ConfigureAwait(false);
            Announce(app, engine, Stopwatch.GetElapsedTime(began), open: app.Services.GetRequiredService<NativeSpecServerOptions>().ApiKeys.Count == 0);
            await app.WaitForShutdownAsync(cancellationToken).ConfigureAwait(false);
            return CommandLine.Success;
        }
        finally
        {
            await app.StopAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    private void Announce(WebApplication app, InferenceEngine engine, TimeSpan took, bool open)
    {
        foreach (var url in app.Urls)
        {
            _terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"nativespec serves {engine.Name} at {url} after {took.TotalMilliseconds:0} ms: {engine.Backend}, context {engine.MaxContext}, drafters {string.Join(", ", engine.Drafters)}"));
            if (open && !IsLoopback(url))
            {
                _terminal.Error.WriteLine($"nativespec: {url} can be reached from other machines, and no API key is asked for: anybody may use the model (--api-key KEY)");
            }
        }

        _terminal.Out.Flush();
    }

    private static bool IsLoopback(string url)
        => Uri.TryCreate(url, UriKind.Absolute, out var uri) && (uri.IsLoopback || (IPAddress.TryParse(uri.Host, out var address) && IPAddress.IsLoopback(address)));

    private EngineOptions EngineOptions(ParseResult parsed)
    {
        var defaults = new EngineOptions();
        return _speculation.Apply(parsed, _compute.Apply(parsed, defaults with
        {
            Name = parsed.GetValue(_name),
            MaxContext = parsed.GetValue(_context),
            MaxSequences = parsed.GetValue(_sequences) ?? defaults.MaxSequences,
            MaxWaiting = parsed.GetValue(_waiting) ?? defaults.MaxWaiting,
            KvTokens = parsed.GetValue(_kvTokens),
            PrefixCache = !parsed.GetValue(_noPrefixCache),
            ChatTemplate = CommonOptions.ReadChatTemplate(parsed.GetValue(_template), _terminal),
        }));
    }

    private void Configure(ParseResult parsed, NativeSpecServerOptions options)
    {
        foreach (var key in parsed.GetValue(_keys) ?? [])
        {
            options.ApiKeys.Add(key);
        }

        if (Environment.GetEnvironmentVariable("NATIVESPEC_API_KEY") is { Length: > 0 } hidden)
        {
            options.ApiKeys.Add(hidden);
        }

        options.MaxTokens = parsed.GetValue(_maxTokens);
        options.MaxChoices = parsed.GetValue(_choices) ?? options.MaxChoices;
        options.MaxRequestsPerClient = parsed.GetValue(_perClient) ?? options.MaxRequestsPerClient;
        options.MaxRequestBytes = parsed.GetValue(_body) ?? options.MaxRequestBytes;
        options.FirstTokenTimeout = Seconds(parsed.GetValue(_firstToken), _firstToken.Name);
        options.DrainTimeout = Seconds(parsed.GetValue(_drain), _drain.Name) ?? options.DrainTimeout;
    }

    private static TimeSpan? Seconds(double? seconds, string option)
        => seconds is null ? null : seconds is >= 0 and <= 86_400 ? TimeSpan.FromSeconds(seconds.Value) : throw new UsageException($"{option} is {seconds}; expected 0 to 86400 seconds");

    private static Option<int?> Count(string name, string description) => new(name) { Description = description, HelpName = "N" };
}
