using NativeSpec.Tensors;

namespace NativeSpec.Loading.PyTorch;

/// <summary>Python's None.</summary>
internal sealed class PickledNone
{
    public static readonly PickledNone Value = new();
}

/// <summary>A dict with string keys, in the order in which they were set.</summary>
/// <param name="IsOrdered">Whether it is a <c>collections.OrderedDict</c>, the only one that can carry attributes.</param>
internal sealed record PickledDict(bool IsOrdered)
{
    public List<KeyValuePair<string, object>> Items { get; } = [];

    public HashSet<string> Keys { get; } = [];
}

/// <summary>A run of elements in an entry <c>data/KEY</c> of the archive.</summary>
internal sealed record PickledStorage(string Key, DType DType, long Elements);

/// <summary>A tensor: element (i, j, …) is element Offset + i·Strides[0] + j·Strides[1] + … of the storage.</summary>
internal sealed record PickledTensor(PickledStorage Storage, long Offset, long[] Shape, long[] Strides);

/// <summary>A name that a state dict may use. There are no others, and a name means nothing but what this reader does for it.</summary>
internal sealed record PickledName(string Module, string Name, DType Storage = default)
{
    public static readonly PickledName OrderedDict = new("collections", "OrderedDict");
    public static readonly PickledName RebuildTensor = new("torch._utils", "_rebuild_tensor_v2");
    public static readonly PickledName RebuildParameter = new("torch._utils", "_rebuild_parameter");

    private static readonly PickledName[] All =
    [
        OrderedDict, RebuildTensor, RebuildParameter,
        new("torch", "FloatStorage", DType.F32), new("torch", "HalfStorage", DType.F16), new("torch", "BFloat16Storage", DType.BF16),
        new("torch", "DoubleStorage", DType.F64), new("torch", "LongStorage", DType.I64), new("torch", "IntStorage", DType.I32),
        new("torch", "ShortStorage", DType.I16), new("torch", "CharStorage", DType.I8), new("torch", "ByteStorage", DType.U8),
        new("torch", "BoolStorage", DType.Bool),
    ];

    /// <summary>Whether the name is the type of a storage rather than a function or class.</summary>
    public bool IsStorage => Module == "torch";

    public static PickledName? Find(string module, string name) => Array.Find(All, known => known.Module == module && known.Name == name);
}

/// <summary>Names of values for messages.</summary>
internal static class PickledValues
{
    public static string Describe(object value) => value switch
    {
        string => "a string",
        long => "a number",
        bool => "a truth value",
        PickledNone => "None",
        PickledDict => "a dict",
        PickledStorage => "a storage",
        PickledTensor => "a tensor",
        PickledName name => $"{name.Module}.{name.Name}",
        object[] tuple => $"a tuple of {tuple.Length}",
        _ => value.GetType().Name,
    };
}
