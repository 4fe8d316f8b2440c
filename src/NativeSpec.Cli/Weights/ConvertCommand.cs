using System.CommandLine;
using NativeSpec.Loading.Medusa;

namespace NativeSpec.Cli.Weights;

/// <summary><c>nativespec convert</c>: writes published Medusa heads, which are mostly PyTorch files, as safetensors.</summary>
internal sealed class ConvertCommand : Command, IHasExamples
{
    private readonly Option<string> _medusa = new("--medusa") { Description = "Medusa heads: a folder, or a .pt or .safetensors file", HelpName = "SRC", Required = true };
    private readonly Option<string> _out = new("--out") { Description = "The folder to write to; made if it is not there", HelpName = "DIR", Required = true };

    public ConvertCommand(Terminal terminal)
        : base("convert", "Write Medusa heads as safetensors; a PyTorch file is read without running anything in it")
    {
        Add(_medusa);
        Add(_out);
        SetAction(parsed =>
        {
            var (source, folder) = (parsed.GetValue(_medusa)!, parsed.GetValue(_out)!);
            MedusaCheckpoint.Convert(source, folder);
            using var written = MedusaCheckpoint.Open(folder);
            terminal.Out.WriteLine($"{Path.Combine(folder, MedusaCheckpoint.FileName)}: {written.Heads.Heads.Count} heads");
            return CommandLine.Success;
        });
    }

    public IReadOnlyList<string> Examples => ["nativespec convert --medusa medusa_lm_head.pt --out models/vicuna-heads"];
}
