using System.Buffers;
using System.Text;
using System.Text.Json;
using NativeSpec.Speculation.Medusa;

namespace NativeSpec.Speculation.TreeLayouts;

/// <summary>A layout as JSON, for programs and for <see cref="MedusaTrees.Load"/>, which reads <c>parents</c> and <c>ranks</c>:
/// <code>
/// { "name": "…", "nodes": 3, "depth": 2, "leaves": 1, "parents": [-1, 0, 1], "depths": [0, 1, 2], "ranks": [-1, 0, 0],
///   "choices": [[0], [0, 0]], "mask": ["1", "11", "111"], "acceptance": [1, 0.5, 0.2], "expected_tokens": 1.7 }
/// </code>
/// A row of the mask says for each node up to itself whether the node of the row sees it.</summary>
public static class TreeJson
{
    /// <summary>Writes a layout.</summary>
    /// <param name="layout">The layout.</param>
    /// <param name="acceptance">Adds the chance of each node to be accepted, and the tokens per round; null where they are not known.</param>
    public static string Render(TreeLayout layout, AcceptanceTable? acceptance = null)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("name", layout.Name);
            json.WriteNumber("nodes", layout.Count);
            json.WriteNumber("depth", layout.Depth);
            json.WriteNumber("leaves", layout.LeafCount);
            Write(json, "parents", layout.Parents);
            Write(json, "depths", layout.Depths);
            Write(json, "ranks", layout.Ranks);
            json.WriteStartArray("choices");
            for (var node = 1; node < layout.Count; node++)
            {
                Write(json, null, layout.Path(node));
            }

            json.WriteEndArray();
            json.WriteStartArray("mask");
            for (var row = 0; row < layout.Count; row++)
            {
                json.WriteStringValue(string.Create(row + 1, (layout, row), static (bits, of) =>
                {
                    for (var column = 0; column < bits.Length; column++)
                    {
                        bits[column] = of.layout.Sees(of.row, column) ? '1' : '0';
                    }
                }));
            }

            json.WriteEndArray();
            if (acceptance is not null)
            {
                json.WriteStartArray("acceptance");
                for (var node = 0; node < layout.Count; node++)
                {
                    json.WriteNumberValue(Math.Round(acceptance.PathAcceptance(layout, node), 6));
                }

                json.WriteEndArray();
                json.WriteNumber("expected_tokens", Math.Round(acceptance.ExpectedTokens(layout), 6));
            }

            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void Write(Utf8JsonWriter json, string? name, ReadOnlySpan<int> numbers)
    {
        if (name is not null)
        {
            json.WritePropertyName(name);
        }

        json.WriteStartArray();
        foreach (var number in numbers)
        {
            json.WriteNumberValue(number);
        }

        json.WriteEndArray();
    }
}
