using NativeSpec.Engine;
using NativeSpec.Tests;

namespace NativeSpec.Extensions.AI.Tests;

/// <summary>The model that comes with the repository, with a template that comes with the library; loaded once for all tests.</summary>
[SetUpFixture]
public sealed class BoxModel
{
    private static readonly Lazy<InferenceEngine> Loaded = new(() => InferenceEngine.Load(
        Repository.Find("models", "doc-comments"), new EngineOptions { ChatTemplate = "plain", DraftModels = [Repository.Find("models", "doc-comments", "draft")], ProfileDirectory = null }));

    public const string Signature = "namespace MyCompany.Collections;\nRingBuffer<T>.CopyTo(T[] array, int index)\n";

    public static InferenceEngine Engine => Loaded.Value;

    public static NativeSpecChatClient Client { get; } = new(Loaded.Value);

    [OneTimeTearDown]
    public void Free()
    {
        if (Loaded.IsValueCreated)
        {
            Loaded.Value.Dispose();
        }
    }
}
