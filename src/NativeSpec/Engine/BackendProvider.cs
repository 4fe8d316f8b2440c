using NativeSpec.Backends;

namespace NativeSpec.Engine;

/// <summary>A back end that another package of this project brings (<see cref="EngineOptions.OtherBackend"/>): it starts one for each engine.</summary>
public sealed class BackendProvider
{
    internal BackendProvider(string name, Func<EngineOptions, IBackend> create) => (Name, Create) = (name, create);

    /// <summary>The back end's short name: <c>ilgpu</c>.</summary>
    public string Name { get; }

    /// <summary>Starts one; the engine owns and disposes it.</summary>
    internal Func<EngineOptions, IBackend> Create { get; }

    /// <inheritdoc/>
    public override string ToString() => Name;
}
