using Microsoft.Extensions.Logging;
using NativeSpec.Backends;
using NativeSpec.Engine.Profiles;
using NativeSpec.Loading;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Speculation.Lookahead;
using NativeSpec.Speculation.Medusa;
using NativeSpec.Tensors;
using NativeSpec.Tokenization;

namespace NativeSpec.Engine;

/// <summary>How an engine is built. What is null is chosen from the model and the machine.</summary>
public sealed record EngineOptions
{
    /// <summary>What metrics and traces call the engine, as the attribute gen_ai.request.model; null takes the name of the model's folder. It tells engines of one process apart.</summary>
    public string? Name { get; init; }

    /// <summary>Threads that compute; null takes the environment variable NATIVESPEC_THREADS, or else one for each processor that the process may use, by its
    /// affinity and its container's limit rounded down, and one fewer where there are eight or more: the host and those who read have that one.</summary>
    public int? Threads { get; init; }

    /// <summary>Most requests that are generated together; more wait their turn.</summary>
    public int MaxSequences { get; init; } = 16;

    /// <summary>Most requests that wait beyond those; one more is refused with <see cref="EngineBusyException"/>.</summary>
    public int MaxWaiting { get; init; } = 1024;

    /// <summary>Most prompt tokens of all requests that wait together; one more request is refused with <see cref="EngineBusyException"/>. A
    /// single one may wait however long its prompt is.</summary>
    public long MaxWaitingTokens { get; init; } = 4_194_304;

    /// <summary>Most pieces of a text that are written ahead of its reader. Then the engine computes nothing for the request until half of them
    /// are read; it keeps its place as long as nobody else needs it.</summary>
    public int MaxUnreadPieces { get; init; } = 256;

    /// <summary>How long a reader may read nothing while so many pieces wait; then its request ends with
    /// <see cref="SlowReaderException"/>.</summary>
    public TimeSpan SlowReaderTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Most tokens of a request, prompt and output together; null takes the model's own limit, or what fits into a quarter of the
    /// memory if that is less. A model with LongRoPE takes its short list of factors where this is at most its original context, else the long one
    /// for texts of every length.</summary>
    public int? MaxContext { get; init; }

    /// <summary>Tokens whose keys and values are kept for all requests together; null takes enough for every sequence's whole context, or
    /// what fits into a quarter of the memory if that is less. Requests take of them what their texts need as these grow; when there are none
    /// left, the newest request waits and is computed again later.</summary>
    public long? KvTokens { get; init; }

    /// <summary>Keep the keys and values of texts that have ended as long as nobody needs their room, and share those of beginnings that are
    /// equal: a prompt that begins like an earlier text, such as the next turn of a conversation, is computed only from where it differs, in whole pages
    /// of 64 tokens. The text is the same in any case. <see cref="GenerationOptions.CacheSalt"/> keeps requests apart.</summary>
    public bool PrefixCache { get; init; } = true;

    /// <summary>Most tokens computed in a forward that has prompts in it, of all prompts together; those of running texts count too, as far as they leave prompts half of
    /// them. An engine takes fewer where others wait for their tokens meanwhile: docs/serving.md says how many. Null takes 512 on a CUDA device, 256 elsewhere.</summary>
    public int? PrefillChunk { get; init; }

    /// <summary>Most nodes of all token trees in one forward.</summary>
    public int MaxTreeNodes { get; init; } = 64;

    /// <summary>Draft models: folders of smaller checkpoints, beside the other drafters.</summary>
    public IReadOnlyList<string> DraftModels { get; init; } = [];

    /// <summary>How the draft models draft; their names become draft, draft2, … Null takes what <see cref="InferenceEngine.SaveTuning"/>
    /// noted for each, or else the defaults.</summary>
    public DraftModelOptions? DraftOptions { get; init; }

    /// <summary>Medusa heads: a folder or file; null takes those that the checkpoint itself holds, if it does.</summary>
    public string? Medusa { get; init; }

    /// <summary>How the Medusa heads draft.</summary>
    public MedusaOptions MedusaOptions { get; init; } = new();

    /// <summary>How lookahead drafts.</summary>
    public LookaheadOptions LookaheadOptions { get; init; } = new();

    /// <summary>The drafters that requests may use; null takes those that need no model of their own: prompt lookup, token recycling and
    /// lookahead. The engine owns and disposes them; where it cannot be loaded they stay the caller's.</summary>
    public IReadOnlyList<IDrafterSource>? Drafters { get; init; }

    /// <summary>Where the command <c>nativespec</c> keeps its profiles: the environment variable NATIVESPEC_PROFILE_DIR, or else the folder
    /// <c>nativespec</c> in the user's cache (XDG_CACHE_HOME, ~/.cache, or on Windows LOCALAPPDATA). Null, which keeps nothing, where the
    /// variable is there and empty, or there is no such folder.</summary>
    public static string? UserProfileDirectory => MachineProfile.DefaultDirectory;

    /// <summary>Where the engine keeps what it measured about this machine and model, so that the next load need not measure again, which
    /// takes up to two seconds. Null, the default, keeps nothing: a library writes no files that nobody asked for.
    /// <see cref="UserProfileDirectory"/> shares what the command has measured.</summary>
    public string? ProfileDirectory { get; init; }

    /// <summary>Measure the machine anew, whatever was kept.</summary>
    public bool MeasureAnew { get; init; }

    /// <summary>What a checkpoint may ask for.</summary>
    public LoadLimits Limits { get; init; } = LoadLimits.Default;

    /// <summary>The backend; null takes a CUDA device where there is one that can be used, else the native backend where its library is, otherwise the
    /// managed one.</summary>
    public BackendKind? Backend { get; init; }

    /// <summary>A back end that another package brings, such as <c>IlgpuBackends.On("cuda")</c> of NativeSpec.Ilgpu; null takes what <see cref="Backend"/> says. <see cref="Weights"/>,
    /// <see cref="KvFormat"/> and <see cref="Threads"/> hold for it too (ILGPU's processor accelerator takes threads in pairs: an odd number is one more there); its device is named where it is
    /// made.</summary>
    public BackendProvider? OtherBackend { get; init; }

    /// <summary>The CUDA device, by its number in the driver's list; null takes the environment variable NATIVESPEC_CUDA_DEVICE, or else the first.</summary>
    public int? Device { get; init; }

    /// <summary>The instruction set of the native kernels, by its name: generic, avx2, avx2vnni, avx512, avx512vnni, avx512bf16, neon. Null takes the
    /// environment variable NATIVESPEC_NATIVE_LEVEL, or else the fastest that this processor runs and that leaves activations in F32; avx512bf16
    /// rounds them to BF16 where weights are BF16, and is faster on some processors.</summary>
    public string? NativeLevel { get; init; }

    /// <summary>How matmul weights are held: as the checkpoint stores them, or packed to 8 or 4 bits while it is loaded, which all but the managed
    /// kernels compute with. A checkpoint that is packed already stays as it is.</summary>
    public WeightFormat Weights { get; init; }

    /// <summary>How keys and values are held. Null takes what each backend is best with: F32 on the processor; on a CUDA device, where F32 is two BF16 parts, 16 bits of significand, BF16, or F32
    /// where the weights are F32 and stay as they are stored.
    /// BF16 takes half the memory: twice the text. On the processor attention takes somewhat longer with it, because numbers are widened when they are read.</summary>
    public KvFormat? KvFormat { get; init; }

    /// <summary>Told while the weights are loaded, which takes a while only where they are packed, the share that is done, from 0 to 1.</summary>
    public IProgress<double>? LoadProgress { get; init; }

    /// <summary>Makes another backend than <see cref="Backend"/> and <see cref="Weights"/> say. The engine owns and disposes what this
    /// returns.</summary>
    internal Func<EngineOptions, IBackend>? CreateBackend { get; init; }

    /// <summary>The tokenizer, for a model whose folder has none or for a service that has one already; null reads the folder's own. It must be the
    /// model's: see <see cref="Tokenization.Tokenizer.Create"/> for one from elsewhere.</summary>
    public Tokenizer? Tokenizer { get; init; }

    /// <summary>The chat template, for a model whose files have none or another one: the name of one that comes with the library
    /// (<see cref="Chat.ChatTemplates.BuiltInNames"/>), or the text of a template. Null takes the model's own.</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>Where the engine says what it loaded and which request failed; null says nothing.</summary>
    public ILogger? Logger { get; init; }

    /// <summary>Checks every option against its allowed range; loading does so too.</summary>
    /// <exception cref="ArgumentException">An option is out of its range; the message names it, its value and the range.</exception>
    public void Validate()
    {
        Require(MaxSequences is >= 1 and <= 1024, nameof(MaxSequences), MaxSequences, "1 to 1024");
        Require(MaxWaiting is >= 0 and <= 65_536, nameof(MaxWaiting), MaxWaiting, "0 to 65536");
        Require(MaxWaitingTokens >= 0, nameof(MaxWaitingTokens), MaxWaitingTokens, "0 or more");
        Require(MaxUnreadPieces is >= 1 and <= 1_048_576, nameof(MaxUnreadPieces), MaxUnreadPieces, "1 to 1048576");
        Require(SlowReaderTimeout >= TimeSpan.Zero, nameof(SlowReaderTimeout), SlowReaderTimeout, "zero or more");
        Require(MaxContext is null or >= 2, nameof(MaxContext), MaxContext, "2 or more");
        Require(KvTokens is null or >= 2, nameof(KvTokens), KvTokens, "2 or more");
        Require(MaxTreeNodes is >= 1 and <= 1024, nameof(MaxTreeNodes), MaxTreeNodes, "1 to 1024");
        Require(Backend is null || Enum.IsDefined(Backend.Value), nameof(Backend), Backend, "Cpu, Native or Cuda");
        Require(OtherBackend is null || (Backend is null && Device is null && NativeLevel is null), nameof(OtherBackend), OtherBackend?.Name, $"none beside {nameof(Backend)}, {nameof(Device)} and {nameof(NativeLevel)}");
        Require(Device is null or >= 0, nameof(Device), Device, "0 or more");
        Require(Enum.IsDefined(Weights), nameof(Weights), Weights, "AsStored, Q8 or Q4");
        Require(KvFormat is null || Enum.IsDefined(KvFormat.Value), nameof(KvFormat), KvFormat, "F32 or BF16");
        Require(PrefillChunk is null or (>= 1 and <= 4096), nameof(PrefillChunk), PrefillChunk, "1 to 4096");
    }

    /// <summary><see cref="PrefillChunk"/> on a back end.</summary>
    internal int ChunkOn(IBackend backend) => PrefillChunk ?? backend.PromptRows;

    private static void Require(bool holds, string option, object? value, string allowed)
    {
        if (!holds)
        {
            throw new ArgumentException($"{nameof(EngineOptions)}.{option} is {value}; expected {allowed}", option);
        }
    }
}
