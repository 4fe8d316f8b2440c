namespace NativeSpec.Extensions.AI;

/// <summary>Where an <see cref="EngineHost"/> is between start and stop.</summary>
public enum EngineHostState
{
    /// <summary>The model is being loaded, or nobody has begun to.</summary>
    Loading,

    /// <summary>Requests are served.</summary>
    Ready,

    /// <summary>The host stops: what runs may end, nothing new begins.</summary>
    Draining,

    /// <summary>The model could not be loaded; <see cref="EngineHost.Failure"/> says why.</summary>
    Failed,
}
