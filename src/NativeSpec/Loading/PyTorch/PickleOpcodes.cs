namespace NativeSpec.Loading.PyTorch;

/// <summary>The pickle machine's instructions, by the names of Python's <c>pickletools</c>.</summary>
internal static class PickleOpcodes
{
    public const byte Proto = 0x80;
    public const byte Frame = 0x95;
    public const byte Mark = 0x28;
    public const byte Stop = 0x2E;
    public const byte EmptyDict = 0x7D;
    public const byte EmptyTuple = 0x29;
    public const byte Tuple = 0x74;
    public const byte Tuple1 = 0x85;
    public const byte Tuple2 = 0x86;
    public const byte Tuple3 = 0x87;
    public const byte BinUnicode = 0x58;
    public const byte ShortBinUnicode = 0x8C;
    public const byte BinInt = 0x4A;
    public const byte BinInt1 = 0x4B;
    public const byte BinInt2 = 0x4D;
    public const byte Long1 = 0x8A;
    public const byte None = 0x4E;
    public const byte NewTrue = 0x88;
    public const byte NewFalse = 0x89;
    public const byte BinPut = 0x71;
    public const byte LongBinPut = 0x72;
    public const byte Memoize = 0x94;
    public const byte BinGet = 0x68;
    public const byte LongBinGet = 0x6A;
    public const byte Global = 0x63;
    public const byte StackGlobal = 0x93;
    public const byte BinPersId = 0x51;
    public const byte Reduce = 0x52;
    public const byte SetItem = 0x73;
    public const byte SetItems = 0x75;
    public const byte Build = 0x62;

    // Those that are known by name only, so that a refusal can say what was found.
    private static readonly (byte Code, string Name)[] Refused =
    [
        (0x49, "INT"), (0x4C, "LONG"), (0x8B, "LONG4"), (0x53, "STRING"), (0x54, "BINSTRING"), (0x55, "SHORT_BINSTRING"),
        (0x42, "BINBYTES"), (0x43, "SHORT_BINBYTES"), (0x8E, "BINBYTES8"), (0x96, "BYTEARRAY8"), (0x97, "NEXT_BUFFER"),
        (0x98, "READONLY_BUFFER"), (0x56, "UNICODE"), (0x8D, "BINUNICODE8"), (0x46, "FLOAT"), (0x47, "BINFLOAT"),
        (0x5D, "EMPTY_LIST"), (0x61, "APPEND"), (0x65, "APPENDS"), (0x6C, "LIST"), (0x64, "DICT"), (0x8F, "EMPTY_SET"),
        (0x90, "ADDITEMS"), (0x91, "FROZENSET"), (0x30, "POP"), (0x32, "DUP"), (0x31, "POP_MARK"), (0x67, "GET"), (0x70, "PUT"),
        (0x82, "EXT1"), (0x83, "EXT2"), (0x84, "EXT4"), (0x69, "INST"), (0x6F, "OBJ"), (0x81, "NEWOBJ"), (0x92, "NEWOBJ_EX"),
        (0x50, "PERSID"), (Proto, "PROTO"),
    ];

    /// <summary>An instruction that a state dict does not need, for messages.</summary>
    public static string Describe(byte opcode) => $"{Array.Find(Refused, known => known.Code == opcode).Name ?? "unknown"} (0x{opcode:x2})";
}
