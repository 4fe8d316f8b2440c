using System.CommandLine;
using NativeSpec.Tokenization;

namespace NativeSpec.Cli.Inspection;

/// <summary><c>nativespec tokenize</c>: standard input to token ids, or ids to text.</summary>
internal sealed class TokenizeCommand : Command, IHasExamples
{
    private readonly Terminal _terminal;
    private readonly Option<string> _model = CommonOptions.Model();
    private readonly Option<string?> _decode = new("--decode") { Description = "Print the text of these ids instead", HelpName = "1,2,3" };
    private readonly Option<bool> _noSpecial = new("--no-special") { Description = "Leave out the tokens put around a text, and with --decode the names of control tokens" };
    private readonly Option<bool> _parseSpecial = new("--parse-special") { Description = "Read the names of control tokens as the tokens themselves" };
    private readonly Option<bool> _json = CommonOptions.Json();

    public TokenizeCommand(Terminal terminal)
        : base("tokenize", "Turn the text on standard input into token ids and pieces")
    {
        _terminal = terminal;
        Add(_model);
        Add(_decode);
        Add(_noSpecial);
        Add(_parseSpecial);
        Add(_json);
        Validators.Add(result =>
        {
            if (result.GetResult(_decode) is not null && result.GetResult(_parseSpecial) is not null)
            {
                result.AddError("--parse-special is about text, --decode about ids: give one of them");
            }
        });
        SetAction(Run);
    }

    public IReadOnlyList<string> Examples =>
    [
        "printf 'Once upon a time' | nativespec tokenize --model models/tinyllama",
        "nativespec tokenize --model models/tinyllama --json < story.txt",
        "nativespec tokenize --model models/tinyllama --decode 1,9038,2501",
    ];

    private int Run(ParseResult parsed)
    {
        var decode = parsed.GetValue(_decode) is { } list ? CommonOptions.ParseIds("--decode", list) : null;
        var (special, json) = (!parsed.GetValue(_noSpecial), parsed.GetValue(_json));
        var tokenizer = Tokenizer.Load(parsed.GetValue(_model)!);
        if (decode is not null)
        {
            Decode(tokenizer, decode, special, json);
            return CommandLine.Success;
        }

        var ids = tokenizer.Encode(CommonOptions.ReadText("-", _terminal), addSpecial: special, parseSpecial: parsed.GetValue(_parseSpecial));
        if (json)
        {
            PrintJson(tokenizer, ids);
            return CommandLine.Success;
        }

        foreach (var id in ids)
        {
            _terminal.Out.WriteLine($"{id}\t{Tables.Printable(tokenizer.TokenText(id))}");
        }

        return CommandLine.Success;
    }

    private void Decode(Tokenizer tokenizer, int[] ids, bool special, bool json)
    {
        var text = tokenizer.Decode(ids, skipSpecial: !special);
        if (json)
        {
            JsonOutput.Print(_terminal.Out, writer =>
            {
                writer.WriteString("text", text);
                writer.WriteIds("ids", ids);
            });
        }
        else
        {
            _terminal.Out.Write(text);
        }
    }

    private void PrintJson(Tokenizer tokenizer, int[] ids) => JsonOutput.Print(_terminal.Out, writer =>
    {
        writer.WriteNumber("count", ids.Length);
        writer.WriteIds("ids", ids);
        writer.WriteStartArray("pieces");
        foreach (var id in ids)
        {
            writer.WriteStringValue(tokenizer.TokenText(id));
        }

        writer.WriteEndArray();
        writer.WriteString("tokenizer", tokenizer.Description);
    });
}
