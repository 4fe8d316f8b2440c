using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using NativeSpec.Engine;
using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Cli.Weights;

/// <summary><c>nativespec quantize</c>: writes a checkpoint with weights of 8 or 4 bits.</summary>
internal sealed class QuantizeCommand : Command, IHasExamples
{
    private readonly Terminal _terminal;
    private readonly Option<string> _model = CommonOptions.Model();
    private readonly Option<string?> _weights = ComputeFlags.Choice("--weights", "8 bits in blocks of 64, or 4 bits in blocks of 32", ["q8", "q4"]);
    private readonly Option<string> _output = new("--output") { Description = "The folder to write; must not be there, or be empty", HelpName = "DIR", Required = true };
    private readonly Option<int?> _threads = CommonOptions.Threads();
    private readonly Option<bool> _json = CommonOptions.Json();

    public QuantizeCommand(Terminal terminal)
        : base("quantize", "Write a checkpoint with packed weights, so that --weights need not pack them at every load")
    {
        _terminal = terminal;
        _weights.Required = true;
        Option[] options = [_model, _weights, _output, _threads, _json];
        Array.ForEach(options, Add);
        SetAction((parsed, cancellationToken) => Task.FromResult(Run(parsed, cancellationToken)));
    }

    public IReadOnlyList<string> Examples => ["nativespec quantize --model models/tinyllama --weights q8 --output models/tinyllama-q8"];

    private int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        var (model, output) = (parsed.GetValue(_model)!, parsed.GetValue(_output)!);
        var format = parsed.GetValue(_weights) == "q8" ? WeightFormat.Q8 : WeightFormat.Q4;
        var clock = Stopwatch.StartNew();
        CheckpointQuantizer.Write(model, output, format, new EngineOptions { Threads = parsed.GetValue(_threads) }, ComputeFlags.Progress(_terminal), cancellationToken);
        using var before = LlamaCheckpoint.Open(model);
        using var after = LlamaCheckpoint.Open(output);
        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json =>
            {
                json.WriteString("model", CommonOptions.ModelName(model));
                json.WriteString("output", output);
                json.WriteString("weights", parsed.GetValue(_weights));
                json.WriteNumber("bytes_before", before.WeightBytes);
                json.WriteNumber("bytes", after.WeightBytes);
                json.WriteMeasured("seconds", clock.Elapsed.TotalSeconds);
            });
        }
        else
        {
            _terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{output}: {Tables.Bytes(after.WeightBytes)} of weights, {Tables.Bytes(before.WeightBytes)} before ({clock.Elapsed.TotalSeconds:0.0} s)"));
        }

        return CommandLine.Success;
    }
}
