using NativeSpec.Backends;
using NativeSpec.Engine.Profiles;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Medusa;
using NativeSpec.Model;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Speculation.Lookahead;
using NativeSpec.Speculation.Medusa;
using NativeSpec.Speculation.PromptLookup;
using NativeSpec.Speculation.Recycling;
using NativeSpec.Tokenization;

namespace NativeSpec.Engine.Building;

/// <summary>The drafters of an engine, made from its options, with the files that they read.</summary>
internal sealed class DrafterSet : IDisposable
{
    private readonly IReadOnlyList<IDrafterSource> _given;
    private readonly MedusaCheckpoint? _medusa;
    private readonly Dictionary<string, string> _identities = [];

    /// <summary>Makes them.</summary>
    /// <param name="target">The model that they draft for.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="backend">What computes; stays the caller's.</param>
    /// <param name="options">Which drafters there are.</param>
    /// <param name="profile">What is known about them on this machine.</param>
    /// <param name="plan">The target's part of the memory.</param>
    /// <param name="memory">Bytes of memory that the process may use.</param>
    public DrafterSet(
        LlamaCheckpoint target, Tokenizer tokenizer, IBackend backend, EngineOptions options, MachineProfile profile, MemoryPlan plan, long memory)
    {
        List<IDrafterSource> all = [];
        All = all;
        _given = options.Drafters ?? [];
        try
        {
            all.AddRange(options.Drafters
                ?? [new PromptLookupDrafter(), new TokenRecyclingDrafter(), new LookaheadDrafter(options.LookaheadOptions)]);
            _medusa = options.Medusa is null ? null : MedusaCheckpoint.Open(options.Medusa, options.Limits);
            if ((_medusa?.Heads ?? MedusaCheckpoint.FromModel(target.Checkpoint, options.Limits)) is { } heads)
            {
                _identities[options.MedusaOptions.Name] = options.Medusa is null ? "medusa" : Identity("medusa", options.Medusa);
                all.Add(new MedusaDrafterSource(heads, target.Config, tokenizer.VocabSize, target.Tensors.LmHead, backend, options.MedusaOptions));
            }

            foreach (var path in options.DraftModels)
            {
                var number = all.Count(source => source is DraftModelSource);
                var name = number == 0 ? "draft" : $"draft{number + 1}";
                _identities[name] = Identity("draft", path);
                var how = options.DraftOptions ?? profile.TunedDraft(_identities[name]) ?? new DraftModelOptions();
                all.Add(new DraftModelSource(path, tokenizer, backend, RoomOf, how with { Name = name }, options.Limits));
            }
        }
        catch
        {
            Abandon();
            throw;
        }

        DraftRoom RoomOf(LlamaConfig draft) => plan.ForDraft(draft, options, LlamaModel.KvBytesPerToken(draft, backend), memory);
    }

    /// <summary>The drafters, those that sample last.</summary>
    public IReadOnlyList<IDrafterSource> All { get; }

    /// <summary>The name under which a profile knows a drafter: a model's says where it is, since any may be called draft.</summary>
    public string IdentityOf(string name) => _identities.GetValueOrDefault(name, name);

    /// <summary>Frees what was made here, for an engine that came to nothing: what the options gave stays the caller's, who may load once more, as the engine itself does
    /// on the processor where a device cannot be used.</summary>
    public void Abandon() => Disposal.OfAll([.. All.Except(_given), _medusa]);

    public void Dispose() => Disposal.OfAll([.. All, _medusa]);

    private static string Identity(string kind, string path) => $"{kind} {Path.TrimEndingDirectorySeparator(Path.GetFullPath(path))}";
}
