using System.Diagnostics;
using System.Numerics.Tensors;
using LLama;
using LLama.Common;
using LLama.Native;

namespace NativeSpec.Benchmarks.LLamaSharp;

/// <summary>LLamaSharp: a sequence of one batch for each stream, decoded token by token, as its batched example does.</summary>
internal static class TheirRace
{
    public static Race Run(RaceOptions options)
    {
        NativeLibraryConfig.All.WithLogCallback((_, _) => { });
        var tokensOfAStream = (uint)(RaceOptions.PromptTokens + options.Tokens + 1);
        var parameters = new ModelParams(options.Model)
        {
            GpuLayerCount = 0,
            Threads = options.Threads,
            BatchThreads = options.Threads,
            SeqMax = (uint)options.Streams,
            ContextSize = (uint)options.Streams * ((tokensOfAStream + 255) / 256 * 256), // shared among the sequences, each a multiple of 256
        };
        using var weights = LLamaWeights.LoadFromFile(parameters);
        using var context = weights.CreateContext(parameters);
        var prompts = options.Prompts(weights.Vocab.Count);
        Write(context.NativeHandle, prompts, RaceOptions.WarmUpTokens);
        context.NativeHandle.MemoryClear(data: true);
        var began = Stopwatch.GetTimestamp();
        var (ids, gaps) = Write(context.NativeHandle, prompts, options.Tokens);
        return new Race($"LLamaSharp {typeof(LLamaWeights).Assembly.GetName().Version?.ToString(3)}, {Path.GetFileName(Contestant.NativeFolder())}, {options.Threads} threads, {GgmlFormat.Of(options.Weights).Name} weights", Stopwatch.GetElapsedTime(began).TotalSeconds, gaps, ids);
    }

    private static (int[][] Ids, double[] GapsMs) Write(SafeLLamaContextHandle context, int[][] prompts, int tokens)
    {
        var (ids, gaps, batch) = (prompts.Select(_ => new List<int>(tokens)).ToArray(), new List<double>(), new LLamaBatch());
        var rows = new int[prompts.Length]; // of the batch, whose logits say each stream's next token
        for (var stream = 0; stream < prompts.Length; stream++)
        {
            for (var i = 0; i < prompts[stream].Length; i++)
            {
                rows[stream] = batch.Add(prompts[stream][i], i, (LLamaSeqId)stream, i == prompts[stream].Length - 1);
            }
        }

        var last = 0L;
        for (var token = 0; token < tokens; token++)
        {
            if (context.Decode(batch) is not DecodeResult.Ok and var result)
            {
                throw new InvalidOperationException($"LLamaSharp could not decode a batch of {batch.TokenCount} tokens: {result}");
            }

            batch.Clear();
            for (var stream = 0; stream < prompts.Length; stream++)
            {
                var next = TensorPrimitives.IndexOfMax<float>(context.GetLogitsIth(rows[stream]));
                ids[stream].Add(next);
                var now = Stopwatch.GetTimestamp();
                if (token > 0)
                {
                    gaps.Add(Stopwatch.GetElapsedTime(last, now).TotalMilliseconds);
                }
            }

            last = Stopwatch.GetTimestamp();
            for (var stream = 0; stream < prompts.Length; stream++)
            {
                rows[stream] = batch.Add(ids[stream][^1], prompts[stream].Length + token, (LLamaSeqId)stream, true);
            }
        }

        return ([.. ids.Select(stream => stream.ToArray())], [.. gaps]);
    }
}
