using System.Reflection;
using NativeSpec.Engine;
using NativeSpec.Server.Errors;
using NativeSpec.Server.Requests;

namespace NativeSpec.Server.Endpoints;

/// <summary>The model under the name that requests have for it.</summary>
internal sealed class ServedModel(NativeSpecServerOptions options)
{
    private static readonly string Version = typeof(ServedModel).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0";

    /// <summary>When it began to be served, in seconds since 1970.</summary>
    public long Since { get; } = DateTimeOffset.UtcNow.ToUnixTimeSeconds();

    /// <summary>Its name.</summary>
    public string IdOf(InferenceEngine engine) => options.ModelId ?? engine.Name;

    /// <summary>What writes the texts.</summary>
    public static string FingerprintOf(InferenceEngine engine) => $"nativespec-{Version} {engine.Backend}";

    /// <summary>Its name, after a look whether a request means it. One that names none does.</summary>
    public string Require(RequestObject body, InferenceEngine engine)
    {
        var id = IdOf(engine);
        return body.Text("model") is not { } asked || asked == id ? id : throw NotFound(asked, id);
    }

    /// <summary>There is no such model.</summary>
    public static ApiException NotFound(string asked, string id)
        => ApiException.NotFound("model", "model_not_found", $"there is no model '{(asked.Length <= 200 ? asked : "…")}'; this server has '{id}'");
}
