using System.CommandLine;
using NativeSpec.Engine;
using NativeSpec.Engine.Profiles;

namespace NativeSpec.Cli.Profiles;

/// <summary><c>nativespec profile</c>: what was measured about models on this machine.</summary>
internal sealed class ProfileCommand : Command
{
    public ProfileCommand(Terminal terminal)
        : base("profile", "Show, remove, copy or take over what was measured about models on this machine")
    {
        Add(new ProfileShowCommand(terminal));
        Add(new ProfileResetCommand(terminal));
        Add(new ProfileExportCommand(terminal));
        Add(new ProfileImportCommand(terminal));
    }

    /// <summary>The folder of the command's profiles.</summary>
    /// <exception cref="UsageException">None are kept.</exception>
    public static string Directory() => EngineOptions.UserProfileDirectory
        ?? throw new UsageException("no profiles are kept: NATIVESPEC_PROFILE_DIR is empty; name a folder in it, or unset it");

    /// <summary>The option that names a model where it need not be named.</summary>
    public static Option<string?> Model(string description) => new("--model") { Description = description, HelpName = "DIR" };
}

/// <summary><c>nativespec profile reset</c>: the machine is measured anew at the next load.</summary>
internal sealed class ProfileResetCommand : Command, IHasExamples
{
    public ProfileResetCommand(Terminal terminal)
        : base("reset", "Remove profiles: the machine is measured anew at the next load, and every drafter has its chance again")
    {
        var model = ProfileCommand.Model("The model whose profile is removed");
        var all = new Option<bool>("--all") { Description = "Remove the profiles of all models" };
        var compute = new ComputeFlags(terminal);
        Add(model);
        Add(all);
        Array.ForEach(compute.All, Add);
        Validators.Add(result =>
        {
            if (result.GetResult(model) is null == result.GetResult(all) is null)
            {
                result.AddError("give either --model or --all");
            }
        });
        SetAction(parsed =>
        {
            var directory = ProfileCommand.Directory();
            string[] files = parsed.GetValue(model) is { } path
                ? [.. new[] { ProfileFolder.FileOf(directory, path, compute.Apply(parsed, new EngineOptions())) }.Where(File.Exists)]
                : [.. ProfileFolder.All(directory).Select(profile => profile.File)];
            Array.ForEach(files, File.Delete);
            terminal.Out.WriteLine(files.Length == 0 ? $"there is none in {directory}" : string.Join(Environment.NewLine, files.Select(file => $"removed {file}")));
            return CommandLine.Success;
        });
    }

    public IReadOnlyList<string> Examples => ["nativespec profile reset --model models/tinyllama", "nativespec profile reset --all"];
}

/// <summary><c>nativespec profile export</c>: a profile as a file of its own, to ship beside the model.</summary>
internal sealed class ProfileExportCommand : Command, IHasExamples
{
    public ProfileExportCommand(Terminal terminal)
        : base("export", "Copy a model's profile to a file, for machines of the same kind")
    {
        var model = CommonOptions.Model();
        var output = new Option<string>("--output") { Description = "The file to write", HelpName = "FILE", Required = true };
        var compute = new ComputeFlags(terminal);
        Array.ForEach([model, output, .. compute.All], Add);
        SetAction(parsed =>
        {
            var file = ProfileFolder.FileOf(ProfileCommand.Directory(), parsed.GetValue(model)!, compute.Apply(parsed, new EngineOptions()));
            if (!File.Exists(file))
            {
                throw new FileNotFoundException($"there is no profile of {parsed.GetValue(model)} for these kernels and threads; generate a text with it first, or tune it");
            }

            ProfileJson.Read(file); // says what is wrong with it here rather than where it is taken over
            File.Copy(file, parsed.GetValue(output)!, overwrite: true);
            terminal.Out.WriteLine(parsed.GetValue(output)!);
            return CommandLine.Success;
        });
    }

    public IReadOnlyList<string> Examples => ["nativespec profile export --model models/tinyllama --output tinyllama.profile.json"];
}

/// <summary><c>nativespec profile import</c>: takes over an exported profile.</summary>
internal sealed class ProfileImportCommand : Command, IHasExamples
{
    public ProfileImportCommand(Terminal terminal)
        : base("import", "Take over an exported profile; it counts where backend, processor and model are the same")
    {
        var source = new Argument<string>("file") { Description = "What export has written", HelpName = "FILE" };
        Add(source);
        SetAction(parsed =>
        {
            var (file, content) = ProfileFolder.Import(ProfileCommand.Directory(), parsed.GetValue(source)!);
            terminal.Out.WriteLine($"{file}: {Tables.Printable(content.Key)}");
            return CommandLine.Success;
        });
    }

    public IReadOnlyList<string> Examples => ["nativespec profile import tinyllama.profile.json"];
}
