using System.Diagnostics;
using System.Globalization;
using NativeSpec.Engine;
using NativeSpec.Speculation;

// The library, trimmed and compiled ahead of time: loads a model with all kinds of drafters, warms up, writes a text with speculation and without,
// keeps a profile and reads it again. Ends with 0 if all of that held, and says how long the first token took.
if (args is not [var model])
{
    Console.Error.WriteLine("usage: NativeSpec.AotApp MODEL; models/doc-comments, with its draft and its heads");
    return 2;
}

var profiles = Directory.CreateTempSubdirectory("nativespec-aot-").FullName;
try
{
    var options = new EngineOptions
    {
        DraftModels = [Path.Combine(model, "draft")],
        Medusa = Path.Combine(model, "medusa"),
        ProfileDirectory = profiles,
    };
    var request = new GenerationOptions { MaxTokens = 48, Temperature = 0, Speculation = new SpeculationOptions { Unplanned = true } };
    var stages = new HashSet<LoadStage>();
    using (var engine = await InferenceEngine.LoadAsync(model, options, new Progress<LoadProgress>(step => { lock (stages) { stages.Add(step.Stage); } })))
    {
        var first = TimeSpan.Zero;
        GenerationResult? speculative = null;
        await foreach (var piece in engine.GenerateAsync("namespace System.IO;\nFile.Delete(string path)\n", request))
        {
            first = first == TimeSpan.Zero ? DateTime.Now - Process.GetCurrentProcess().StartTime : first;
            speculative = piece.Result;
        }

        var plain = await engine.CompleteAsync("namespace System.IO;\nFile.Delete(string path)\n", request with { Speculation = SpeculationOptions.Off });
        await engine.WarmUpAsync();
        Require(speculative!.Ids.SequenceEqual(plain.Ids) && speculative.Text == plain.Text, "the text with speculation is that without");
        Require(speculative.Speculation.Accepted > 0 && speculative.Speculation.Drafters.Count == 5, "five drafters were at work, and some were right");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{engine.Backend}: first token {first.TotalMilliseconds:0} ms after the start; {plain.Text.ReplaceLineEndings(" ")}"));
    }

    var file = Directory.GetFiles(profiles).Single();
    var written = File.GetLastWriteTimeUtc(file);
    using (var again = InferenceEngine.Load(model, options))
    {
        Require(File.GetLastWriteTimeUtc(file) == written, "the profile was read: nothing was measured again");
    }

    return 0;
}
finally
{
    Directory.Delete(profiles, recursive: true);
}

static void Require(bool holds, string what)
{
    if (!holds)
    {
        throw new InvalidOperationException($"it does not hold that {what}");
    }
}
