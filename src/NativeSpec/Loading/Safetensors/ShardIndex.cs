using System.Text.Json;

namespace NativeSpec.Loading.Safetensors;

/// <summary><c>model.safetensors.index.json</c>: which shard holds which tensor.
/// <code>{ "metadata": { … }, "weight_map": { tensor name: shard file name } }</code>
/// Shards lie beside the index. Their names are plain file names: a path could point at any file of the machine. (The file of that name
/// may be a link, because the hub's cache consists of links.)</summary>
internal sealed class ShardIndex
{
    private ShardIndex(string file, IReadOnlyDictionary<string, string> weightMap) =>
        (File, WeightMap, Shards) = (file, weightMap, [.. weightMap.Values.Distinct().Order(StringComparer.Ordinal)]);

    /// <summary>The index file.</summary>
    public string File { get; }

    /// <summary>Tensor name to shard name.</summary>
    public IReadOnlyDictionary<string, string> WeightMap { get; }

    /// <summary>The shard names, each once, sorted.</summary>
    public IReadOnlyList<string> Shards { get; }

    public static ShardIndex Read(string file, LoadLimits limits) =>
        Parse(file, RegularFile.ReadAll(file, limits.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes)), limits);

    public static ShardIndex Parse(string file, byte[] json, LoadLimits limits)
    {
        using var document = JsonText.ParseObject(file, json);
        var index = new JsonFields(file, document.RootElement);
        var map = index.Object("weight_map") ?? throw index.Error("weight_map", "is missing; expected an object of tensor names and shard names");
        var weightMap = new Dictionary<string, string>();
        var shards = new HashSet<string>();
        foreach (var member in map.Element.EnumerateObject())
        {
            if (member.Value.ValueKind != JsonValueKind.String)
            {
                throw map.Error(member.Name, $"must be a file name; found {JsonText.Describe(member.Value)}");
            }

            var shard = member.Value.GetString()!;
            if (!IsPlainName(shard))
            {
                throw map.Error(member.Name, $"is {MessageText.Quote(shard)}; expected the plain name of a .safetensors file beside the index");
            }

            weightMap.Add(member.Name, shard);
            shards.Add(shard);
            if (shards.Count > limits.MaxShards)
            {
                throw new ModelFormatException(file, $"names more than {limits.MaxShards} shards (LoadLimits.MaxShards)");
            }
        }

        return weightMap.Count > 0 ? new ShardIndex(file, weightMap) : throw index.Error("weight_map", "names no tensor");
    }

    // Also the other system's separators and Windows' drive and stream colon: an index travels between machines.
    private static bool IsPlainName(string name) =>
        name.EndsWith(".safetensors", StringComparison.Ordinal) && name != ".safetensors"
        && name.AsSpan().IndexOfAny("/\\:") < 0 && !name.Any(char.IsControl);
}
