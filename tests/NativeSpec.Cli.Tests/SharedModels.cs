using System.Text.Json;
using NativeSpec.Tests;

namespace NativeSpec.Cli.Tests;

/// <summary>Trained checkpoints of others and what an independent float64 forward says about them.</summary>
internal static class SharedModels
{
    public static string Folder(string name) => SharedFiles.Require("models", name);

    public static JsonElement Expected(string name)
    {
        using var document = JsonDocument.Parse(File.ReadAllText(SharedFiles.Require("models", "expected.json")));
        return document.RootElement.GetProperty(name).Clone();
    }
}
