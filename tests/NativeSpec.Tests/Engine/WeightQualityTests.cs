using NativeSpec.Backends;
using NativeSpec.Backends.Native;
using NativeSpec.Engine;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Engine;

/// <summary>What packed weights cost in prediction, on trained models. Models of a quarter million parameters have too few weights to
/// average the errors of 4 bits out, so they are held to 8.</summary>
public sealed class WeightQualityTests
{
    private const string Verse = """
        To be, or not to be, that is the question:
        Whether 'tis nobler in the mind to suffer
        The slings and arrows of outrageous fortune,
        Or to take arms against a sea of troubles
        And by opposing end them. To die: to sleep;
        No more; and by a sleep to say we end
        The heart-ache and the thousand natural shocks
        That flesh is heir to, 'tis a consummation
        Devoutly to be wish'd.
        """;

    private const string Story = """
        Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She
        wanted to play with it, but it was too high. Lily's mom said, "Lily, let's go to the park." Lily was sad and didn't know what to do.
        She said, "I want to play with your ball, but I can't find it." Her mom smiled and gave her a big hug.
        """;

    [TestCase("shakespeare-2m", Verse, WeightFormat.Q8, 0.005)]
    [TestCase("shakespeare-2m", Verse, WeightFormat.Q4, 0.04)]
    [TestCase("stories260k", Story, WeightFormat.Q8, 0.005)]
    public void Score_PackedWeights_NeedLittleMoreNatsThanStoredOnes(string model, string text, WeightFormat format, double share)
    {
        Assume.That(NativeLibraryLoader.WhyMissing, Is.Null);
        var stored = Nats(model, text, WeightFormat.AsStored);
        Assert.That(Nats(model, text, format), Is.LessThanOrEqualTo(stored * (1 + share)).And.GreaterThan(stored * (1 - share)).And.Not.EqualTo(stored));
    }

    private static double Nats(string model, string text, WeightFormat format)
    {
        using var evaluation = TextEvaluation.Load(SharedFiles.Require("models", model), new EngineOptions { Backend = BackendKind.Native, Weights = format });
        return evaluation.Score(text).Nats;
    }
}
