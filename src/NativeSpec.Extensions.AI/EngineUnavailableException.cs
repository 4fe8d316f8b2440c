namespace NativeSpec.Extensions.AI;

/// <summary>The engine takes no requests: it is being loaded, the host stops, or it could not be loaded. The inner exception has the last one's reason.</summary>
public sealed class EngineUnavailableException : InvalidOperationException
{
    internal EngineUnavailableException(string modelId, EngineHostState state, Exception? failure = null)
        : base(Describe(modelId, state, failure), failure)
        => State = state;

    /// <summary>What the engine does instead.</summary>
    public EngineHostState State { get; }

    private static string Describe(string modelId, EngineHostState state, Exception? failure) => state switch
    {
        EngineHostState.Loading => $"the model '{modelId}' is being loaded",
        EngineHostState.Draining => $"the model '{modelId}' takes no more requests: the host is stopping",
        _ => $"the model '{modelId}' could not be loaded: {failure?.Message}",
    };
}
