using NativeSpec.Training.Corpus;

namespace NativeSpec.Training.Tests.Corpus;

public sealed class MemberSignatureTests
{
    private static readonly MemberSignature Signatures = new(Types());

    [TestCase("T:System.Int32", "int")]
    [TestCase("T:System.Collections.Generic.Dictionary`2.Enumerator", "Dictionary<TKey, TValue>.Enumerator")]
    [TestCase("M:System.String.#ctor(System.Char[])", "new string(char[])")]
    [TestCase("M:System.Int32.Parse(System.ReadOnlySpan{System.Char},System.Nullable{System.Int32})", "int.Parse(ReadOnlySpan<char>, int?)")]
    [TestCase("M:System.Collections.Generic.Dictionary`2.TryGetValue(`0,`1@)", "Dictionary<TKey, TValue>.TryGetValue(TKey, out TValue)")]
    [TestCase("M:System.Collections.Generic.Dictionary`2.Enumerator.MoveNext", "Dictionary<TKey, TValue>.Enumerator.MoveNext()")]
    [TestCase("M:System.Threading.Interlocked.Add(System.Int32@,System.Int32)", "Interlocked.Add(ref int, int)")]
    [TestCase("M:System.Array.ConvertAll``2(``0[],System.Converter{``0,``1})", "Array.ConvertAll<T1, T2>(T1[], Converter<T1, T2>)")]
    [TestCase("M:System.Decimal.op_Explicit(System.Decimal)~System.Int32", "decimal.explicit operator int(decimal)")]
    [TestCase("M:System.Decimal.op_LessThan(System.Decimal,System.Decimal)", "decimal.operator <(decimal, decimal)")]
    [TestCase("M:System.Int32.System#IConvertible#ToByte(System.IFormatProvider)", "int.IConvertible.ToByte(IFormatProvider)")]
    [TestCase("M:System.A.B(System.Collections.Generic.Dictionary{System.String,System.Int32}.Enumerator,System.ValueTuple{System.Byte,System.Char})", "A.B(Dictionary<string, int>.Enumerator, (byte, char))")]
    [TestCase("M:System.A.B(System.Int32[0:,0:],System.Void*)", "A.B(int[,], void*)")]
    [TestCase("P:System.Collections.Generic.Dictionary`2.Item(`0)", "Dictionary<TKey, TValue>.this[TKey]")]
    [TestCase("P:System.String.Length", "string.Length")]
    [TestCase("F:System.Int32.MaxValue", "int.MaxValue")]
    [TestCase("E:System.IO.FileSystemWatcher.Changed", "event FileSystemWatcher.Changed")]
    public void Write_AnId_IsItsCSharp(string id, string expected) => Assert.That(Signatures.Write(id, [], []), Is.EqualTo(expected));

    [Test]
    public void Write_WithDocumentedParameters_NamesThemAndTellsOutFromRef()
    {
        (string, string)[] parameters = [("value", "The value."), ("result", "When this method returns, contains the result.")];
        Assert.That(Signatures.Write("M:System.A.B(System.Int32@,System.Int32@)", parameters, []), Is.EqualTo("A.B(ref int value, out int result)"));
    }

    [Test]
    public void Write_AsManyNamesAsParametersAreNotThere_NamesNone()
        => Assert.That(Signatures.Write("M:System.A.B(System.Int32,System.Int32)", [("value", "")], []), Is.EqualTo("A.B(int, int)"));

    [Test]
    public void Write_DocumentedTypeParameters_AreUsed()
        => Assert.That(Signatures.Write("M:System.A.B``1(``0)", [("one", "")], ["TOne"]), Is.EqualTo("A.B<TOne>(TOne one)"));

    [TestCase("M:System.A.B(")]
    [TestCase("M:System.A.B(System.Int32")]
    [TestCase("M:System.A.B(System.List{System.Int32)")]
    [TestCase("M:System.A.B()x)")]
    [TestCase("M:B")]
    public void Write_WhatIsNoId_IsNull(string id) => Assert.That(Signatures.Write(id, [], []), Is.Null);

    [Test]
    public void Write_NestedBeyondReason_IsNull()
    {
        var deep = string.Concat(Enumerable.Repeat("System.List{", 10_000)) + "System.Int32" + new string('}', 10_000);
        Assert.That(Signatures.Write($"M:System.A.B({deep})", [], []), Is.Null);
    }

    [TestCase("M:System.Collections.Generic.Dictionary`2.Enumerator.MoveNext", "System.Collections.Generic")]
    [TestCase("T:System.Collections.Generic.Dictionary`2", "System.Collections.Generic")]
    [TestCase("P:Unknown.Place.Thing.Size", "Unknown.Place")]
    public void Namespace_EndsWhereTheTypesBegin(string id, string expected) => Assert.That(Signatures.Namespace(id), Is.EqualTo(expected));

    [TestCase("T:System.Collections.Generic.Dictionary`2", "Dictionary{TKey, TValue}")]
    [TestCase("M:System.String.#ctor(System.Char[])", "string(char[])")]
    [TestCase("M:System.Decimal.op_LessThan(System.Decimal,System.Decimal)", "decimal.operator &lt;(decimal, decimal)")]
    [TestCase("N:System.IO", "System.IO")]
    [TestCase("O:System.String.Format", "String.Format")]
    [TestCase("Overload", "Overload")]
    public void ACref_IsWrittenAsInSource(string id, string expected) => Assert.That(new CommentReference(Signatures).Write(id), Is.EqualTo(expected));

    private static TypeNames Types()
    {
        var types = new TypeNames();
        types.Add("System.Collections.Generic.Dictionary`2", ["TKey", "TValue"]);
        types.Add("System.Collections.Generic.Dictionary`2.Enumerator", []);
        return types;
    }
}
