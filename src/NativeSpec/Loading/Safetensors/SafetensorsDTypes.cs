using NativeSpec.Tensors;

namespace NativeSpec.Loading.Safetensors;

/// <summary>The names that safetensors gives to element types.</summary>
internal static class SafetensorsDTypes
{
    private static readonly (DType DType, string Name)[] Names =
    [
        (DType.F32, "F32"), (DType.F16, "F16"), (DType.BF16, "BF16"), (DType.F64, "F64"), (DType.F8E4M3, "F8_E4M3"), (DType.F8E5M2, "F8_E5M2"),
        (DType.I64, "I64"), (DType.I32, "I32"), (DType.I16, "I16"), (DType.I8, "I8"), (DType.U64, "U64"), (DType.U32, "U32"),
        (DType.U16, "U16"), (DType.U8, "U8"), (DType.Bool, "BOOL"),
    ];

    /// <summary>All names, for messages.</summary>
    public static string Known { get; } = string.Join(", ", Names.Select(n => n.Name));

    /// <summary>Finds the type of a name.</summary>
    public static bool TryParse(string name, out DType dtype)
    {
        foreach (var (candidate, spelled) in Names)
        {
            if (spelled == name)
            {
                dtype = candidate;
                return true;
            }
        }

        dtype = default;
        return false;
    }

    /// <summary>The name of a type.</summary>
    public static string Name(DType dtype) => Array.Find(Names, n => n.DType == dtype).Name;
}
