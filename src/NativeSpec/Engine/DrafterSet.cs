using NativeSpec.Backends;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Medusa;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Speculation.Lookahead;
using NativeSpec.Speculation.Medusa;
using NativeSpec.Speculation.PromptLookup;
using NativeSpec.Speculation.Recycling;
using NativeSpec.Tokenization;

namespace NativeSpec.Engine;

/// <summary>The drafters of an engine, made from its options, with the files that they read.</summary>
internal sealed class DrafterSet : IDisposable
{
    private readonly MedusaCheckpoint? _medusa;

    private readonly Dictionary<string, string> _identities = [];

    public DrafterSet(LlamaCheckpoint target, Tokenizer tokenizer, IBackend backend, EngineOptions options, MachineProfile profile)
    {
        List<IDrafterSource> all = [];
        All = all;
        try
        {
            all.AddRange(options.Drafters
                ?? [new PromptLookupDrafter(), new TokenRecyclingDrafter(), new LookaheadDrafter(options.LookaheadOptions)]);
            foreach (var path in options.DraftModels)
            {
                var number = all.Count(source => source is DraftModelSource);
                var name = number == 0 ? "draft" : $"draft{number + 1}";
                _identities[name] = Identity("draft", path);
                var how = options.DraftOptions ?? profile.TunedDraft(_identities[name]) ?? new DraftModelOptions();
                all.Add(new DraftModelSource(path, tokenizer, backend, options.MaxSequences, how with { Name = name }, options.Limits));
            }

            _medusa = options.Medusa is null ? null : MedusaCheckpoint.Open(options.Medusa, options.Limits);
            if ((_medusa?.Heads ?? MedusaCheckpoint.FromModel(target.Checkpoint, options.Limits)) is { } heads)
            {
                _identities[options.MedusaOptions.Name] = options.Medusa is null ? "medusa" : Identity("medusa", options.Medusa);
                all.Add(new MedusaDrafterSource(heads, target.Config, target.Tensors.LmHead, backend, options.MedusaOptions));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public IReadOnlyList<IDrafterSource> All { get; }

    /// <summary>The name under which a profile knows a drafter: a model's says where it is, since any may be called draft.</summary>
    public string IdentityOf(string name) => _identities.GetValueOrDefault(name, name);

    public void Dispose()
    {
        foreach (var source in All)
        {
            source.Dispose();
        }

        _medusa?.Dispose();
    }

    private static string Identity(string kind, string path) => $"{kind} {Path.TrimEndingDirectorySeparator(Path.GetFullPath(path))}";
}
