using System.CommandLine;
using System.Globalization;
using NativeSpec.Cli;
using NativeSpec.Cli.Benchmarks;
using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Benchmarks.LLamaSharp;

/// <summary>Writes random weights of a shape once for each engine, and has the two race in turns, each in a process of its own.</summary>
internal sealed class DuelCommand : RootCommand
{
    private static readonly Dictionary<string, WeightFormat> Formats = new() { ["q8"] = WeightFormat.Q8, ["q4"] = WeightFormat.Q4 };

    private readonly Terminal _terminal;
    private readonly Option<string> _shape = new("--shape") { Description = "Of the random weights (default 110m)", DefaultValueFactory = _ => "110m" };
    private readonly Option<string> _weights = new("--weights") { Description = "How matrices are packed: ours and LLamaSharp's q8_0 or q4_0 (default q8,q4)", HelpName = "q8,q4", DefaultValueFactory = _ => "q8,q4" };
    private readonly Option<string> _streams = new("--streams") { Description = "Texts at once (default 1,4)", HelpName = "N,N,…", DefaultValueFactory = _ => "1,4" };
    private readonly Option<string> _busy = new("--busy") { Description = "Threads beside the engines that take processors from them (default 0,1)", HelpName = "N,N,…", DefaultValueFactory = _ => "0,1" };
    private readonly Option<int> _tokens = new("--tokens") { Description = "Tokens of each text (default 64)", HelpName = "N", DefaultValueFactory = _ => 64 };
    private readonly Option<int> _threads = new("--threads") { Description = "Threads that compute (default 2)", HelpName = "N", DefaultValueFactory = _ => 2 };
    private readonly Option<int> _repeats = new("--repeats") { Description = "Races of each kind, of which medians count (default 4)", HelpName = "N", DefaultValueFactory = _ => 4 };
    private readonly Option<bool> _json = CommonOptions.Json();

    public DuelCommand(Terminal terminal)
        : base("NativeSpec against LLamaSharp: tokens per second and the time between tokens, the same random weights in both")
    {
        _terminal = terminal;
        _shape.AcceptOnlyFromAmong([.. BenchShapes.All.Keys]);
        Option[] options = [_shape, _weights, _streams, _busy, _tokens, _threads, _repeats, _json];
        Array.ForEach(options, Add);
        Cli.Numbers.ReadStrictly(this);
        SetAction(RunAsync);
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        foreach (var option in new[] { _tokens, _threads, _repeats })
        {
            CommonOptions.RequireAtLeast(option.Name, parsed.GetValue(option), 1);
        }

        var (tokens, threads, repeats) = (parsed.GetValue(_tokens), parsed.GetValue(_threads), parsed.GetValue(_repeats));
        var kinds = from weights in List(parsed, _weights, static text => Formats.TryGetValue(text, out var format) ? format : (WeightFormat?)null, "q8 or q4")
                    from streams in List(parsed, _streams, text => Whole(text, 1, 64), "1 to 64")
                    from busy in List(parsed, _busy, text => Whole(text, 0, 64), "0 to 64")
                    select new DuelResult(weights, streams, busy);
        DuelResult[] results = [.. kinds];
        using var ours = new SyntheticCheckpoint(parsed.GetValue(_shape)!, RaceOptions.PromptTokens + tokens + 1);
        var theirs = WriteGguf(ours.Path, results.Select(result => result.Weights).Distinct());

        // All kinds once before any of them again, so that what the machine does over minutes meets all alike; and each engine begins every other time.
        for (var repeat = 0; repeat < repeats; repeat++)
        {
            foreach (var result in results)
            {
                var race = new RaceOptions(ours.Path, result.Weights, result.Streams, tokens, threads);
                using var neighbours = new BusyNeighbours(result.Busy);
                Race? mine = null;
                if (repeat % 2 == 0)
                {
                    mine = await Contestant.RunAsync(ours: true, race, cancellationToken);
                }

                var other = await Contestant.RunAsync(ours: false, race with { Model = theirs[result.Weights] }, cancellationToken);
                result.Add(mine ?? await Contestant.RunAsync(ours: true, race, cancellationToken), other);
            }

            MeasureOptions.Progress(_terminal, $"{repeat + 1} of {repeats}");
        }

        new DuelReport(_terminal).Print(results, parsed.GetValue(_json));
        if (!Array.Exists(results, static result => result.Weights == WeightFormat.Q8))
        {
            await _terminal.Error.WriteLineAsync("not checked: whether both have the same model, which texts of 8-bit weights show and 4-bit ones, rounded too differently, do not (--weights q8,q4)");
        }

        if (Array.Find(results, result => result is { Weights: WeightFormat.Q8, TokensAlike.Alike: < 1 }) is null)
        {
            return 0;
        }

        await _terminal.Error.WriteLineAsync("texts of 8-bit weights do not even begin alike: the two models are not the same, and the figures compare nothing");
        return 1;
    }

    private static Dictionary<WeightFormat, string> WriteGguf(string folder, IEnumerable<WeightFormat> formats)
    {
        using var checkpoint = LlamaCheckpoint.Open(folder);
        return formats.ToDictionary(format => format, format =>
        {
            var path = Path.Combine(folder, $"{format}.gguf");
            GgufFile.Write(path, checkpoint, GgmlFormat.Of(format));
            return path;
        });
    }

    private static T[] List<T>(ParseResult parsed, Option<string> option, Func<string, T?> read, string expected)
        where T : struct
        => [.. parsed.GetValue(option)!.Split(',').Select(text => read(text) ?? throw new UsageException($"{option.Name}: '{text}' is not {expected}"))];

    private static int? Whole(string text, int least, int most)
        => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most ? number : null;
}
