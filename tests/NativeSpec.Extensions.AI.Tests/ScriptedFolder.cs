using System.Text.Json.Nodes;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Model;
using NativeSpec.Tests.Tokenization;

namespace NativeSpec.Extensions.AI.Tests;

/// <summary>A checkpoint that says what a script has: after each phrase, which is one token, the next one. Its layers add nothing, so what comes next
/// depends on the last token alone, and the output matrix has for each phrase the embedding of what stands before it. All the rest is a real model: files, tokenizer,
/// template, engine.</summary>
internal sealed class ScriptedFolder : IDisposable
{
    /// <summary>Where the template begins the answer to a user.</summary>
    public const string Answer = "<|answer|>";

    /// <summary>Where it begins the one to a tool.</summary>
    public const string AfterTool = "<|after|>";

    /// <summary>What a call of a tool looks like, and where a thought may stand.</summary>
    public const string Template =
        "{% for t in tools or [] %}{{ t|tojson }}{% endfor %}"
        + "{% for m in messages %}\n<{{ m.role }}>{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content or '' }}"
        + "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function|tojson }}</tool_call>{% endfor %}{% endfor %}"
        + "{% if add_generation_prompt %}{% if messages[-1].role == 'tool' %}" + AfterTool + "{% else %}" + Answer + "{% endif %}{% endif %}";

    private const string End = "<|end_of_text|>";

    private readonly TestFolder _folder;

    /// <summary>Writes the folder.</summary>
    /// <param name="scripts">Each begins with <see cref="Answer"/> or <see cref="AfterTool"/>, and ends the text behind its last phrase. No phrase stands twice.</param>
    public ScriptedFolder(params string[][] scripts)
    {
        string[] phrases = [.. scripts.SelectMany(script => script)];
        var first = TestTokenizers.MinVocabSize;
        var shape = TestConfigs.Tiny with { VocabSize = first + phrases.Length, MaxPositionEmbeddings = 4096, TieWordEmbeddings = false };
        _folder = new TestFolder(maxPositions: 4096, shape: shape, poisoned: false);
        File.WriteAllText(System.IO.Path.Combine(Path, "tokenizer.json"), WithPhrases(shape.VocabSize, phrases).ToJsonString());
        File.WriteAllText(System.IO.Path.Combine(Path, "chat_template.jinja"), Template);
        using var model = new SyntheticModel(shape, DType.F32, 11);
        var rows = phrases.Select((phrase, i) => (phrase, Id: first + i)).ToDictionary(pair => pair.phrase, pair => pair.Id);
        rows[End] = TestFolder.TokenizersEndOfText;
        Teach(model, scripts.SelectMany(script => script.Zip([.. script[1..], End])).Select(pair => (rows[pair.First], rows[pair.Second])));
        var layers = model.Tensors.Layers.SelectMany(l => new[] { l.InputNorm, l.QProj, l.KProj, l.VProj, l.OProj, l.PostAttentionNorm, l.GateProj, l.UpProj, l.DownProj });
        TensorView[] all = [model.Tensors.Embedding, .. layers, model.Tensors.FinalNorm, model.Tensors.LmHead];
        SafetensorsWriter.Write(System.IO.Path.Combine(Path, "model.safetensors"), all.Select(view => SafetensorsTensor.FromView(view)));
    }

    public string Path => _folder.Path;

    public void Dispose() => _folder.Dispose();

    private static JsonObject WithPhrases(int vocabSize, string[] phrases)
    {
        var json = TestTokenizers.ByteLevel(vocabSize);
        var added = json["added_tokens"]!.AsArray();
        for (var i = 0; i < phrases.Length; i++)
        {
            added[i + 2]!["content"] = phrases[i]; // behind those that begin and end a text
            added[i + 2]!["special"] = phrases[i] is Answer or AfterTool;
        }

        return json;
    }

    private static void Teach(SyntheticModel model, IEnumerable<(int From, int To)> pairs)
    {
        var tensors = model.Tensors;
        foreach (var layer in tensors.Layers)
        {
            Fill(layer.OProj, 0);
            Fill(layer.DownProj, 0);
        }

        Fill(tensors.FinalNorm, 1);
        Fill(tensors.LmHead, 0);
        foreach (var (from, to) in pairs)
        {
            var embedding = Row(tensors.Embedding, from);
            var output = Row(tensors.LmHead, to);
            for (var i = 0; i < embedding.Length; i++)
            {
                output[i] += 10 * embedding[i];
            }
        }
    }

    private static void Fill(TensorView view, float value)
    {
        for (var row = 0; row < view.Shape[0]; row++)
        {
            if (view.Shape.Length == 1)
            {
                All(view).Fill(value);
                return;
            }

            Row(view, row).Fill(value);
        }
    }

    private static unsafe Span<float> All(TensorView view) => new((float*)view.Data, (int)view.Shape[0]);

    private static unsafe Span<float> Row(TensorView view, int row) => new((float*)view.Data + (row * view.Shape[1]), (int)view.Shape[1]);
}
