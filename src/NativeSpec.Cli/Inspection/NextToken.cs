using System.Globalization;
using NativeSpec.Engine;
using NativeSpec.Engine.Building;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Tokenization;

namespace NativeSpec.Cli.Inspection;

/// <summary>What a model says after some tokens: its logits as they are, before any sampling.</summary>
internal sealed record NextToken(string Model, string Backend, Tokenizer Tokenizer, int[] Ids, float[] Logits)
{
    private const int Chunk = 256;

    /// <summary>Computes the model once.</summary>
    /// <exception cref="ArgumentException">An id is outside the vocabulary, or there are more than the model has positions.</exception>
    public static NextToken After(string path, int[] ids, EngineOptions options, CancellationToken cancellationToken)
    {
        using var checkpoint = LlamaCheckpoint.Open(path);
        var tokenizer = Tokenizer.Load(path);
        if (ids.Length > checkpoint.Config.MaxPositionEmbeddings)
        {
            throw new ArgumentException($"--ids has {ids.Length} tokens; the model has {checkpoint.Config.MaxPositionEmbeddings} positions");
        }

        using var backend = EngineBackend.Create(options, checkpoint.Tensors);
        // The context that the engine would have, for a rotation may depend on it.
        var context = options.MaxContext ?? checkpoint.Config.MaxPositionEmbeddings;
        var limits = new ForwardLimits(Math.Min(Chunk, ids.Length), MaxLogitRows: 1, MaxSequences: 1, Math.Max(context, ids.Length));
        using var model = new LlamaModel(checkpoint.Config, checkpoint.Tensors, backend, limits, options.LoadProgress);
        using var cache = model.CreateCache(ids.Length);
        using var sequence = cache.TryOpen(ids.Length)!;
        var forest = new Forest(1);
        var tree = new TokenTree(limits.MaxRows);
        IForwardResult? rows = null;
        for (var at = 0; at < ids.Length; at += tree.Count)
        {
            var part = ids.AsSpan(at, Math.Min(limits.MaxRows, ids.Length - at));
            tree.Clear();
            tree.AddChain(part);
            forest.Clear();
            forest.Add(sequence, tree, at + part.Length == ids.Length ? part.Length - 1 : part.Length);
            rows = model.Forward(forest, cancellationToken);
            sequence.CommitChain(part.Length);
        }

        return new NextToken(CommonOptions.ModelName(path), backend.Description, tokenizer, ids, rows!.Logits(0).ToArray());
    }

    /// <summary>Prints the most likely tokens and the first logits.</summary>
    public void Print(Terminal terminal, int top, int logits, bool json)
    {
        var best = Enumerable.Range(0, Logits.Length).OrderByDescending(id => Logits[id]).ThenBy(id => id).Take(top).ToArray();
        var logSum = LogSumExp();
        if (!json)
        {
            Tables.Print(terminal, ["next token", "id", "logit", "probability"], 1, best.Select(id => new[]
            {
                JsonOutput.Piece(Tokenizer, id), Text(id), Logits[id].ToString("0.####", CultureInfo.InvariantCulture),
                Math.Exp(Logits[id] - logSum).ToString("0.0000", CultureInfo.InvariantCulture),
            }));
            terminal.Out.WriteLine($"first logits: {string.Join(" ", Logits.Take(logits).Select(logit => logit.ToString(CultureInfo.InvariantCulture)))}");
            return;
        }

        JsonOutput.Print(terminal.Out, writer =>
        {
            writer.WriteString("model", Model);
            writer.WriteString("backend", Backend);
            writer.WriteIds("ids", Ids);
            writer.WriteStartArray("top");
            foreach (var id in best)
            {
                writer.WriteStartObject();
                writer.WriteToken(Tokenizer, id);
                writer.WriteFloat("logit", Logits[id]);
                writer.WriteFloat("logprob", (float)(Logits[id] - logSum));
                writer.WriteFloat("prob", (float)Math.Exp(Logits[id] - logSum));
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteStartArray("logits");
            foreach (var logit in Logits.Take(logits))
            {
                writer.WriteFloatValue(logit);
            }

            writer.WriteEndArray();
        });

        static string Text(int id) => id.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>log Σ exp(logit), around the largest so that nothing overflows.</summary>
    private double LogSumExp()
    {
        double max = Logits.Max();
        return max + Math.Log(Logits.Sum(logit => Math.Exp(logit - max)));
    }
}
