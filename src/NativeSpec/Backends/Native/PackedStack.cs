using NativeSpec.Tensors;

namespace NativeSpec.Backends.Native;

/// <summary>Packed matrices stacked along the output: in place where they lie side by side and each fills its panels, otherwise as a copy in
/// which every output has moved to its lane of its panel.</summary>
internal static unsafe class PackedStack
{
    private const int LaneGroupBytes = 4; // what an output has in one group: four columns of q8, two times four of q4

    /// <summary>Whether the parts together are one packed matrix already.</summary>
    public static bool LiesTogether(IReadOnlyList<TensorView> parts)
    {
        for (var i = 1; i < parts.Count; i++)
        {
            if (parts[i - 1].Shape[0] % PackedWeights.PanelOutputs != 0 || parts[i - 1].Data + (nint)parts[i - 1].ByteLength != parts[i].Data)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The stacked matrix.</summary>
    public static NativeBuffer<byte> Copy(IReadOnlyList<TensorView> parts, WeightFormat format)
    {
        var (inFeatures, outFeatures) = (parts[0].Shape[1], parts.Sum(part => part.Shape[0]));
        var panelBytes = PackedWeights.PanelBytes(inFeatures, format);
        var stack = new NativeBuffer<byte>(PackedWeights.Bytes(outFeatures, inFeatures, format));
        var output = 0L;
        foreach (var part in parts)
        {
            for (var row = 0L; row < part.Shape[0]; row++, output++)
            {
                CopyOutput((byte*)part.Data + (row / PackedWeights.PanelOutputs * panelBytes), (int)(row % PackedWeights.PanelOutputs),
                    stack.Pointer + (output / PackedWeights.PanelOutputs * panelBytes), (int)(output % PackedWeights.PanelOutputs), panelBytes, format);
            }
        }

        // Lanes past the last output stay zero, as the new memory is: with a scale of zero their whole numbers do not matter.
        return stack;
    }

    /// <summary>Copies one output's scales and whole numbers from its lane of a panel to its lane of another.</summary>
    private static void CopyOutput(byte* from, int fromLane, byte* to, int toLane, long panelBytes, WeightFormat format)
    {
        int superBytes = PackedWeights.SuperBytes(format), scaleBytes = PackedWeights.SuperScaleBytes(format);
        for (var super = 0L; super < panelBytes; super += superBytes)
        {
            for (var at = 0; at < scaleBytes; at += PackedWeights.PanelOutputs * sizeof(ushort))
            {
                ((ushort*)(to + super + at))[toLane] = ((ushort*)(from + super + at))[fromLane];
            }

            for (var at = scaleBytes; at < superBytes; at += PackedWeights.PanelOutputs * LaneGroupBytes)
            {
                ((uint*)(to + super + at))[toLane] = ((uint*)(from + super + at))[fromLane];
            }
        }
    }
}
