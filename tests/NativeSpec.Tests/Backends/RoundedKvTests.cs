namespace NativeSpec.Tests.Backends;

/// <summary>Keys and values as BF16: what attention reads is what was written, rounded to the nearest.</summary>
[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.RoundedKv))]
public sealed class RoundedKvTests(TestBackend backend) : TreeAttentionFixture(backend)
{
    /// <summary>Keys that are not turned are stored as they come, so the reference rounds the very same numbers.</summary>
    [Test]
    public void TreeAttention_KeysAsTheyCome_AgreesWithFloat64OverRoundedOnes(
        [Values(0, 130)] int prefix, [Values(1, 9)] int nodes, [Values(8, 80)] int headDim, [Values(0, 40)] int window)
        => Check(prefix, nodes, headDim, group: 3, rotaryDim: 0, window, norms: false);

    [Test]
    public void TreeAttention_TurnedKeys_AgreesWithFloat64UpToOneRounding() => Check(prefix: 70, nodes: 5, headDim: 64, group: 2, rotaryDim: 64, window: 0, norms: true);
}
