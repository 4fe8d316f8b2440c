using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Speculation.DraftModels;

/// <summary>What is published about the pair stories260k and stories-xs: on the target's greedy story the two agree on the most likely token
/// at 0.755 of the places; on stories that it draws, Σ min(p, q), the chance that a token drawn from the draft is accepted, is 0.72 at
/// temperature 0.7 and 0.69 at 1. The stories themselves are not published; these are as long as those that the models have learnt.</summary>
public sealed class PublishedPairTests
{
    private const int Stories = 8;
    private const int Length = 200;

    [TestCase(0.7f, 0.72)]
    [TestCase(1f, 0.69)]
    public void Overlap_OnStoriesOfTheTarget_IsAsPublished(float temperature, double published)
    {
        Assert.That(Measure(temperature, Stories, isGreedy: false).Overlap, Is.EqualTo(published).Within(0.03));
    }

    [Test]
    public void Agreement_OnTheGreedyStory_IsAsPublished()
        => Assert.That(Measure(1, stories: 1, isGreedy: true).Agreement, Is.EqualTo(0.755).Within(0.02));

    /// <summary>The means over all places of stories that the target writes.</summary>
    private static (double Overlap, double Agreement) Measure(float temperature, int stories, bool isGreedy)
    {
        using var target = new Run(SharedFiles.Require("models", "stories260k"));
        using var draft = new Run(SharedFiles.Require("models", "stories-xs"));
        var (overlap, agreement) = (0.0, 0.0);
        for (var story = 0; story < stories; story++)
        {
            var prompt = target.Tokenizer.Encode("Once upon a time");
            using var targetText = target.Begin(prompt);
            using var draftText = draft.Begin(prompt);
            for (var i = 0; i < Length; i++)
            {
                var (p, q) = (targetText.Next(temperature), draftText.Next(temperature));
                overlap += p.Zip(q, Math.Min).Sum();
                agreement += Array.IndexOf(p, p.Max()) == Array.IndexOf(q, q.Max()) ? 1 : 0;
                var token = isGreedy ? Array.IndexOf(p, p.Max()) : Draw(p, CounterRandom.Uniform((ulong)story, i, 0));
                targetText.Append(token);
                draftText.Append(token);
            }
        }

        return (overlap / (stories * Length), agreement / (stories * Length));
    }

    private static int Draw(double[] p, double at)
    {
        var token = 0;
        while (token < p.Length - 1 && (at -= p[token]) >= 0)
        {
            token++;
        }

        return token;
    }

    private sealed class Run : IDisposable
    {
        private readonly LlamaCheckpoint _checkpoint;
        private readonly IBackend _backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
        private readonly LlamaModel _model;
        private readonly KvCache _cache;

        public Run(string folder)
        {
            _checkpoint = LlamaCheckpoint.Open(folder);
            Tokenizer = Tokenizer.Load(folder);
            _model = new LlamaModel(_checkpoint.Config, _checkpoint.Tensors, _backend, new ForwardLimits(32, 1, 1, 512));
            _cache = _model.CreateCache(512);
        }

        public Tokenizer Tokenizer { get; }

        public Text Begin(IReadOnlyList<int> prompt)
        {
            var text = new Text(_model, _cache.TryOpen(400)!);
            text.Append([.. prompt]);
            return text;
        }

        public void Dispose()
        {
            _cache.Dispose();
            _model.Dispose();
            _backend.Dispose();
            _checkpoint.Dispose();
        }
    }

    private sealed class Text(LlamaModel model, KvSequence kv) : IDisposable
    {
        private readonly Forest _forest = new(1);
        private readonly TokenTree _tree = new(32);
        private float[] _logits = [];

        public void Append(params int[] tokens)
        {
            _tree.Clear();
            _tree.AddChain(tokens);
            _forest.Clear();
            _forest.Add(kv, _tree, tokens.Length - 1);
            model.Forward(_forest);
            kv.CommitChain(tokens.Length);
            _logits = model.Logits(_forest.LogitRow(0, tokens.Length - 1)).ToArray();
        }

        /// <summary>softmax(logits / T) in float64.</summary>
        public double[] Next(float temperature)
        {
            double max = _logits.Max();
            var weights = _logits.Select(logit => Math.Exp((logit - max) / temperature)).ToArray();
            var sum = weights.Sum();
            return [.. weights.Select(weight => weight / sum)];
        }

        public void Dispose() => kv.Dispose();
    }
}
