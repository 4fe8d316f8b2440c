using Microsoft.Extensions.Options;

namespace NativeSpec.Extensions.AI;

/// <summary>Finds at the host's start what would otherwise fail the load: files that are not there, values out of their range.</summary>
internal sealed class NativeSpecOptionsValidator : IValidateOptions<NativeSpecOptions>
{
    public ValidateOptionsResult Validate(string? name, NativeSpecOptions options)
    {
        var section = string.IsNullOrEmpty(name) ? NativeSpecOptions.Section : $"{NativeSpecOptions.Section}:{name}";
        List<string> faults = [];
        if (string.IsNullOrWhiteSpace(options.ModelPath))
        {
            faults.Add($"{section}:{nameof(options.ModelPath)} is empty; expected the folder of a model (config.json, safetensors, tokenizer)");
        }
        else
        {
            RequireExists(nameof(options.ModelPath), options.ModelPath);
        }

        foreach (var draft in options.DraftModels)
        {
            RequireExists(nameof(options.DraftModels), draft);
        }

        if (options.Medusa is not null)
        {
            RequireExists(nameof(options.Medusa), options.Medusa);
        }

        if (options.StuckAfter <= TimeSpan.Zero)
        {
            faults.Add($"{section}:{nameof(options.StuckAfter)} is {options.StuckAfter}; expected more than zero");
        }

        try
        {
            if (faults.Count == 0)
            {
                options.Bound().Validate();
            }
        }
        catch (ArgumentException error)
        {
            faults.Add($"{section}: {error.Message}");
        }

        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults);

        void RequireExists(string member, string path)
        {
            if (!Path.Exists(path))
            {
                faults.Add($"{section}:{member} is '{path}', which is not there (looked for at {Path.GetFullPath(path)})");
            }
        }
    }
}
