using System.Text;
using NativeSpec.Loading;
using NativeSpec.Loading.Safetensors;

namespace NativeSpec.Tests.Loading.Safetensors;

/// <summary>Every way in which a safetensors file can lie about itself, each refused with its facts.</summary>
public sealed class SafetensorsHeaderTests
{
    private const string Good = """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""";

    private TempFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TempFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    private static IEnumerable<TestCaseData> BadHeaders()
    {
        static TestCaseData Case(string name, string header, int dataBytes, params string[] facts) =>
            new TestCaseData(header, dataBytes, facts).SetArgDisplayNames(name);
        static string One(string dtype = "\"F32\"", string shape = "[2]", string offsets = "[0,8]") =>
            $$$"""{"a":{"dtype":{{{dtype}}},"shape":{{{shape}}},"data_offsets":{{{offsets}}}}}""";
        static string Two(string first, string second) =>
            $$$"""{"a":{"dtype":"U8","shape":[4],"data_offsets":{{{first}}}},"b":{"dtype":"U8","shape":[4],"data_offsets":{{{second}}}}}""";

        yield return Case("begins with a space", " " + Good, 8, "expected '{'");
        yield return Case("an array", "[1]", 0, "expected '{'", "[");
        yield return Case("not closed", """{"a":""", 0, "not valid JSON");
        yield return Case("trailing text", Good + "x", 8, "not valid JSON");
        yield return Case("trailing NUL", Good + "\0", 8, "not valid JSON");
        yield return Case("trailing comma", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},}""", 8, "not valid JSON");
        yield return Case("comment", "{/**/}", 0, "not valid JSON");
        yield return Case("a depth bomb", "{\"a\":" + new string('[', 100_000), 0, "'a'", "its description must be an object");
        yield return Case("a depth bomb in a shape", One(shape: new string('[', 100_000)), 8, "'a'");
        yield return Case("duplicate names", """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}""", 8, "'a'", "twice");
        yield return Case("names that are equal when unescaped", """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"\u0061":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}""", 8, "'a'", "twice");
        yield return Case("duplicate fields", """{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}""", 8, "'a'", "'dtype'", "twice");
        yield return Case("duplicate metadata", """{"__metadata__":{},"__metadata__":{}}""", 0, "__metadata__", "twice");
        yield return Case("duplicate metadata key", """{"__metadata__":{"k":"1","k":"2"}}""", 0, "'k'", "twice");
        yield return Case("metadata not an object", """{"__metadata__":"x"}""", 0, "__metadata__ must be an object", "'x'");
        yield return Case("metadata with a number", """{"__metadata__":{"k":1}}""", 0, "a value of __metadata__ must be a string", "found 1");
        yield return Case("unknown dtype", One(dtype: "\"F4\""), 8, "'a'", "unknown dtype 'F4'", "BF16");
        yield return Case("dtype not a string", One(dtype: "7"), 8, "'a'", "dtype must be a string", "found 7");
        yield return Case("unknown field", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"stride":[1]}}""", 8, "'a'", "unknown field 'stride'");
        yield return Case("missing dtype", """{"a":{"shape":[2],"data_offsets":[0,8]}}""", 8, "'a'", "'dtype' is missing");
        yield return Case("missing shape", """{"a":{"dtype":"F32","data_offsets":[0,8]}}""", 8, "'a'", "'shape' is missing");
        yield return Case("missing offsets", """{"a":{"dtype":"F32","shape":[2]}}""", 8, "'a'", "'data_offsets' is missing");
        yield return Case("negative extent", One(shape: "[-2]"), 8, "'a'", "shape must be a whole number", "-2");
        yield return Case("minus zero", One(shape: "[-0]"), 8, "'a'", "-0");
        yield return Case("fractional extent", One(shape: "[2.0]"), 8, "'a'", "2.0");
        yield return Case("exponent", One(shape: "[2e0]"), 8, "'a'", "2e0");
        yield return Case("string extent", One(shape: "[\"2\"]"), 8, "'a'", "'2'");
        yield return Case("null extent", One(shape: "[null]"), 8, "'a'", "null");
        yield return Case("huge extent", One(shape: "[99999999999999999999]"), 8, "'a'", "99999999999999999999");
        yield return Case("shape not an array", One(shape: "2"), 8, "'a'", "shape must be an array");
        yield return Case("shape product overflows", One(shape: "[4294967296,4294967296]"), 8, "'a'", "overflows");
        yield return Case("shape bytes overflow", One(shape: "[4611686018427387904]"), 8, "'a'", "overflows");
        yield return Case("overflow beside a zero", One(shape: "[4294967296,4294967296,0]", offsets: "[0,0]"), 0, "'a'", "overflows");
        yield return Case("rank above the limit", One(shape: "[1,1,1,1,1,1,1,1,2]"), 8, "'a'", "more than 8");
        yield return Case("one offset", One(offsets: "[8]"), 8, "'a'", "data_offsets has 1 numbers");
        yield return Case("three offsets", One(offsets: "[0,8,8]"), 8, "'a'", "more than 2");
        yield return Case("negative offset", One(offsets: "[-8,0]"), 8, "'a'", "-8");
        yield return Case("begin after end", One(offsets: "[8,0]"), 8, "'a'", "[8, 0]");
        yield return Case("end beyond the data", One(offsets: "[0,8]"), 7, "'a'", "end at 8", "7 bytes of data");
        yield return Case("end at the end of time", One(offsets: "[0,9223372036854775807]"), 8, "'a'", "9223372036854775807");
        yield return Case("overlap", Two("[0,4]", "[2,6]"), 6, "'b'", "begins at 2, expected 4", "overlap");
        yield return Case("the same bytes twice", Two("[0,4]", "[0,4]"), 4, "overlap");
        yield return Case("a hole", Two("[0,4]", "[5,9]"), 9, "'b'", "begins at 5, expected 4", "hole of 1 bytes");
        yield return Case("a hole at the start", One(offsets: "[1,9]"), 9, "'a'", "expected 0", "hole");
        yield return Case("trailing data", Good, 9, "1 trailing bytes");
        yield return Case("data without tensors", "{}", 5, "5 trailing bytes");
        yield return Case("too few bytes for the shape", One(shape: "[3]"), 8, "'a'", "F32 [3] needs 12 bytes", "hold 8");
        yield return Case("bytes for a zero extent", One(shape: "[0]"), 8, "'a'", "needs 0 bytes", "hold 8");
        yield return Case("NUL in a name", """{"a\u0000b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1, @"'a\u0000b'", "control characters");
        yield return Case("lone surrogate in a name", """{"\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1, "UTF-16");
        yield return Case("a name of 1 MB", "{\"" + new string('n', 1_000_000) + "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "longer than 1024", "nnn…");
        yield return Case("NaN", One(shape: "[NaN]"), 8, "not valid JSON");
    }

    [TestCaseSource(nameof(BadHeaders))]
    public void Open_BadHeader_IsRefusedWithItsFacts(string header, int dataBytes, string[] facts)
    {
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors(header, dataBytes));

        LoadingTestFiles.Refused(() => SafetensorsFile.Open(path), [path, .. facts]);
    }

    [TestCase(0UL, "header length is 0")]
    [TestCase(1UL, "header length is 1")]
    [TestCase(56UL, "only 55 bytes follow")]
    [TestCase(100_000_001UL, "header length is 100000001; at most 100000000")]
    [TestCase(1UL << 63, "header length is 9223372036854775808; at most")]
    [TestCase(ulong.MaxValue, "header length is 18446744073709551615; at most")]
    public void Open_HeaderLengthField_IsCheckedBeforeItIsUsed(ulong length, string fact)
    {
        var header = Encoding.UTF8.GetBytes(Good);
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors(header, 55 - header.Length, length));
        var before = GC.GetAllocatedBytesForCurrentThread();

        LoadingTestFiles.Refused(() => SafetensorsFile.Open(path), path, fact);

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1_000_000));
    }

    [Test]
    public void Open_TruncatedAtEveryByte_IsRefused()
    {
        var whole = LoadingTestFiles.Safetensors(Good, 8);
        for (var length = 0; length < whole.Length; length++)
        {
            var path = _folder.Write("m.safetensors", whole[..length]);
            LoadingTestFiles.Refused(() => SafetensorsFile.Open(path), path);
        }
    }

    [Test]
    public void Open_InvalidUtf8_IsRefused()
    {
        var header = Encoding.UTF8.GetBytes(Good);
        header[2] = 0xFF;
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors(header, 8));

        LoadingTestFiles.Refused(() => SafetensorsFile.Open(path), path, "UTF-8");
    }

    [Test]
    public void Open_MoreTensorsThanTheLimit_IsRefused()
    {
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors(ManyEmptyTensors(11), 0));

        LoadingTestFiles.Refused(() => SafetensorsFile.Open(path, LoadLimits.Default with { MaxTensors = 10 }), path, "more than 10 tensors");
    }

    [Test]
    public void Open_ManyTinyTensors_CostsMemoryInProportion()
    {
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors(ManyEmptyTensors(100_000), 0));
        var before = GC.GetAllocatedBytesForCurrentThread();

        using var file = SafetensorsFile.Open(path);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.That(file.Tensors, Has.Count.EqualTo(100_000));
        Assert.That(allocated, Is.LessThan(100_000_000), "a kilobyte for each tensor");
    }

    [TestCase("../../etc/passwd")]
    [TestCase("a/b")]
    [TestCase("..")]
    public void Open_NameThatLooksLikeAPath_IsJustAName(string name)
    {
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors($$$"""{"{{{name}}}":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1));

        using var file = SafetensorsFile.Open(path);

        Assert.That(file.Tensors.Keys, Is.EqualTo([name]));
    }

    private static string ManyEmptyTensors(int count)
    {
        var header = new StringBuilder("{");
        for (var i = 0; i < count; i++)
        {
            header.Append(i == 0 ? "" : ",").Append($$"""
                "t{{i}}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}
                """);
        }

        return header.Append('}').ToString();
    }
}
