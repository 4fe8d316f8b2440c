using NativeSpec.Backends;
using NativeSpec.Loading;
using NativeSpec.Speculation;
using NativeSpec.Tokenization;

namespace NativeSpec.Engine;

/// <summary>The drafters of an engine, made from its options, with the files that they read.</summary>
internal sealed class DrafterSet : IDisposable
{
    private readonly MedusaCheckpoint? _medusa;

    public DrafterSet(LlamaCheckpoint target, Tokenizer tokenizer, IBackend backend, EngineOptions options)
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
                var named = options.DraftOptions with { Name = number == 0 ? "draft" : $"draft{number + 1}" };
                all.Add(new DraftModelSource(path, tokenizer, backend, options.MaxSequences, named, options.Limits));
            }

            _medusa = options.Medusa is null ? null : MedusaCheckpoint.Open(options.Medusa, options.Limits);
            if ((_medusa?.Heads ?? MedusaCheckpoint.FromModel(target.Checkpoint, options.Limits)) is { } heads)
            {
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

    public void Dispose()
    {
        foreach (var source in All)
        {
            source.Dispose();
        }

        _medusa?.Dispose();
    }
}
