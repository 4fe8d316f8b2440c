using System.Globalization;
using System.Numerics;
using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Cli.Chatting;

/// <summary>What <c>/set</c> changes in the middle of a chat; the names are those of the command's options.</summary>
internal sealed class ChatSettings
{
    private const string Default = "default";

    private static readonly Setting[] All =
    [
        new("system", "the system's turn, in front of all others", s => s.System, (s, text) => s.System = text),
        Number<float>("temperature", "0 is greedy", o => o.Temperature, (o, value) => o with { Temperature = value }),
        Number<int>("top-k", "draw from the K most likely tokens", o => o.TopK, (o, value) => o with { TopK = value }),
        Number<float>("top-p", "draw from those that together have probability P", o => o.TopP, (o, value) => o with { TopP = value }),
        Number<float>("min-p", "draw from those at least P times as likely as the most likely one", o => o.MinP, (o, value) => o with { MinP = value }),
        Number<float>("repetition-penalty", "1 is none", o => o.RepetitionPenalty, (o, value) => o with { RepetitionPenalty = value }),
        Number<float>("presence-penalty", "0 is none", o => o.PresencePenalty, (o, value) => o with { PresencePenalty = value ?? 0 }),
        Number<float>("frequency-penalty", "0 is none", o => o.FrequencyPenalty, (o, value) => o with { FrequencyPenalty = value ?? 0 }),
        Number<int>("max-tokens", "most tokens of an answer", o => o.MaxTokens, (o, value) => o with { MaxTokens = value }),
        Number<ulong>("seed", "the same seed gives the same answer", o => o.Seed, (o, value) => o with { Seed = value }),
        new("speculate", "auto, off, or a list of drafters", s => s._speculate, (s, text) => s.Speculate(text ?? "auto")),
        new("colors", "on shows by colour which drafter a token came from", s => s.Colors ? "on" : "off", (s, text) => s.Colors = OnOrOff(text ?? "off")),
    ];

    private readonly SpeculationOptions _speculation;
    private readonly int _draftModels;
    private readonly IReadOnlyCollection<string> _drafters;
    private string _speculate;

    /// <summary>Begins with what the command line says.</summary>
    /// <param name="options">Sampling and speculation.</param>
    /// <param name="speculate">How <paramref name="options"/> speculate, in the words of the command line.</param>
    /// <param name="draftModels">How many draft models there are.</param>
    /// <param name="drafters">The engine's drafters.</param>
    public ChatSettings(GenerationOptions options, string speculate, int draftModels, IReadOnlyCollection<string> drafters)
    {
        (Options, _speculate, _draftModels, _drafters) = (options, speculate, draftModels, drafters);
        _speculation = speculate == "off" ? SpeculationOptions.Auto : options.Speculation;
    }

    /// <summary>What is asked of the engine.</summary>
    public GenerationOptions Options { get; private set; }

    /// <summary>The system's turn.</summary>
    public string? System { get; set; }

    /// <summary>Whether tokens are coloured by drafter.</summary>
    public bool Colors { get; set; }

    /// <summary>A line for each setting.</summary>
    public IEnumerable<string> Lines() => All.Select(setting => $"{setting.Name,-20}{setting.Show(this) ?? Default,-14}{setting.Description}");

    /// <summary>Changes one.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="value">What it is to be; null or <c>default</c> for what it is where nobody says anything.</param>
    /// <returns>What it is now.</returns>
    /// <exception cref="UsageException">There is no such setting, or it cannot be that.</exception>
    public string Set(string name, string? value)
    {
        var setting = All.FirstOrDefault(one => one.Name == name) ?? throw new UsageException($"there is no setting '{name}'; there are {string.Join(", ", All.Select(one => one.Name))}");
        var before = Options;
        try
        {
            setting.Set(this, value == Default ? null : value);
            Options.Validate(int.MaxValue);
        }
        catch (ArgumentException error)
        {
            Options = before;
            throw new UsageException(CommandLine.Message(error));
        }

        return $"{name} is {setting.Show(this) ?? Default}";
    }

    private static Setting Number<T>(string name, string description, Func<GenerationOptions, T?> get, Func<GenerationOptions, T?, GenerationOptions> set)
        where T : struct, INumberBase<T>
        => new(
            name, description,
            settings => get(settings.Options)?.ToString(null, CultureInfo.InvariantCulture),
            (settings, text) => settings.Options = set(settings.Options, text is null ? null : Read<T>(name, text)));

    private static T Read<T>(string name, string text)
        where T : struct, INumberBase<T>
        => T.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value) && T.IsFinite(value)
            ? value
            : throw new UsageException($"{name}: '{text}' is no number that it can be; a fraction has a decimal point, such as 0.8");

    private static bool OnOrOff(string text) => text switch
    {
        "on" => true,
        "off" => false,
        _ => throw new UsageException($"colors is on or off, not '{text}'"),
    };

    private void Speculate(string text)
    {
        var speculation = text switch
        {
            "off" => SpeculationOptions.Off,
            "auto" => _speculation with { Drafters = null },
            _ => _speculation with { Drafters = SpeculationFlags.Names(text, _draftModels) },
        };
        if (speculation.Drafters?.FirstOrDefault(name => !_drafters.Contains(name)) is { } missing)
        {
            throw new UsageException($"there is no drafter '{missing}' in this chat; there are {string.Join(", ", _drafters)}");
        }

        Options = Options with { Speculation = speculation };
        _speculate = text;
    }

    private sealed record Setting(string Name, string Description, Func<ChatSettings, string?> Show, Action<ChatSettings, string?> Set);
}
