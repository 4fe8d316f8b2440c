using System.Text;
using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Speculation.TreeLayouts;

namespace NativeSpec.Speculation.Medusa;

/// <summary>Static trees for Medusa heads: those published with Medusa, by name, and those in files.</summary>
public static class MedusaTrees
{
    /// <summary>The tree that Medusa takes for a model that it does not know.</summary>
    public const string Default = "mc_sim_7b_63";

    // The nine trees of FasterDecoding/Medusa, medusa/model/medusa_choices.py (Apache-2.0), 63 paths each. They have no holes: a path's
    // children are its ranks 0 to n − 1. So each tree is the list of its paths with their numbers of children; ranks have one digit.
    private static readonly (string Name, string Children)[] Published =
    [
        ("mc_sim_7b_63", ":10 0:10 1:7 2:3 3:2 4:1 5:1 6:1 7:1 8:1 9:1 00:10 01:3 02:2 03:1 04:1 05:1 06:1 07:1 10:2 20:1 000:2"),
        ("vicuna_7b_stage1", ":10 0:10 1:7 2:4 3:3 4:2 5:2 6:1 7:1 8:1 9:1 00:9 01:3 02:2 03:1 04:1 05:1 10:2 20:1 000:1"),
        ("vicuna_7b_stage1_ablation", ":10 0:10 1:4 2:2 3:2 4:1 5:1 6:1 00:10 01:4 02:2 03:1 04:1 05:1 10:3 11:1 20:1 30:1 000:4 001:1 002:1 010:1"),
        ("vicuna_7b_stage2", ":10 0:10 1:5 2:2 3:2 4:1 5:1 6:1 7:1 00:9 01:4 02:2 03:1 04:1 05:1 10:3 11:1 20:1 000:4 001:1 002:1 010:1"),
        ("vicuna_13b_stage1", ":10 0:10 1:7 2:4 3:2 4:2 5:1 6:1 7:1 8:1 00:10 01:4 02:2 03:1 04:1 05:1 10:2 11:1 20:1 000:1"),
        ("vicuna_13b_stage2", ":10 0:10 1:4 2:2 3:1 4:1 5:1 00:10 01:4 02:2 03:1 04:1 05:1 10:3 11:1 20:1 30:1 000:4 001:2 "
            + "002:1 010:1 100:1"),
        ("vicuna_33b_stage1", ":10 0:10 1:8 2:5 3:3 4:2 5:2 6:1 7:1 8:1 9:1 00:9 01:3 02:2 03:1 04:1 10:2 20:1"),
        ("vicuna_33b_stage2", ":10 0:10 1:5 2:3 3:2 4:1 5:1 6:1 7:1 00:10 01:4 02:2 03:1 04:1 05:1 10:3 11:1 20:1 000:3 001:1 010:1"),
        ("zephyr_stage2", ":10 0:10 1:6 2:4 3:2 4:2 5:1 6:1 7:1 00:10 01:4 02:2 03:1 04:1 05:1 10:2 11:1 20:1 000:2 001:1"),
    ];

    /// <summary>The names of the published trees.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Published.Select(tree => tree.Name)];

    /// <summary>A published tree.</summary>
    /// <exception cref="ArgumentException">There is no such name.</exception>
    public static TreeLayout Get(string name)
    {
        var found = Array.Find(Published, tree => tree.Name == name);
        return found.Name is null
            ? throw new ArgumentException($"no tree is named {MessageText.Quote(name ?? "")}; known are "
                + $"{string.Join(", ", Names)}", nameof(name))
            : TreeLayout.FromChoices(found.Name, Expand(found.Children));
    }

    /// <summary>A tree by name or from a file.</summary>
    /// <param name="nameOrFile">One of <see cref="Names"/>, or a file: a list of paths in JSON or Python, or the JSON of
    /// <see cref="TreeJson"/>.</param>
    /// <exception cref="ModelFormatException">It is neither, or the file does not describe a tree.</exception>
    public static TreeLayout Load(string nameOrFile)
    {
        ArgumentException.ThrowIfNullOrEmpty(nameOrFile);
        if (Names.Contains(nameOrFile))
        {
            return Get(nameOrFile);
        }

        if (!Path.Exists(nameOrFile))
        {
            throw new ModelFormatException(nameOrFile, $"is neither a file nor the name of a tree; known are {string.Join(", ", Names)}");
        }

        var bytes = RegularFile.ReadAll(nameOrFile, LoadLimits.Default.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes));
        return Parse(nameOrFile, Encoding.UTF8.GetString(bytes));
    }

    internal static TreeLayout Parse(string file, string text)
    {
        var name = Path.GetFileNameWithoutExtension(file);
        try
        {
            return text.AsSpan().TrimStart() is ['{', ..]
                ? ParseNodes(file, name, text)
                : TreeLayout.FromChoices(name, new ChoiceListParser(file, text).Parse());
        }
        catch (ArgumentException e)
        {
            throw new ModelFormatException(file, e.Message.Split(" (Parameter")[0], e);
        }
    }

    private static TreeLayout ParseNodes(string file, string name, string json)
    {
        using var document = JsonText.ParseObject(file, Encoding.UTF8.GetBytes(json));
        var fields = new JsonFields(file, document.RootElement);
        return TreeLayout.FromParents(fields.Text("name") ?? name, Numbers(fields, "parents"), Numbers(fields, "ranks"));
    }

    private static List<int> Numbers(JsonFields fields, string name)
    {
        if (fields.Value(name) is not { ValueKind: JsonValueKind.Array } array || array.GetArrayLength() > TreeLayout.MaxNodes)
        {
            throw fields.Error(name, $"must be an array of at most {TreeLayout.MaxNodes} whole numbers, one for each node");
        }

        var numbers = new List<int>();
        foreach (var item in array.EnumerateArray())
        {
            numbers.Add(item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var value) ? value
                : throw fields.Error(name, $"holds {JsonText.Describe(item)}; expected whole numbers"));
        }

        return numbers;
    }

    private static IEnumerable<int[]> Expand(string children)
    {
        foreach (var item in children.Split(' '))
        {
            var (path, count) = (item.Split(':')[0], int.Parse(item.Split(':')[1], System.Globalization.CultureInfo.InvariantCulture));
            for (var rank = 0; rank < count; rank++)
            {
                yield return [.. path.Select(digit => digit - '0'), rank];
            }
        }
    }
}
