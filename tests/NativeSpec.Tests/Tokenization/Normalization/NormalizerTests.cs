using System.Buffers.Binary;
using NativeSpec.Tokenization.Normalization;
using NativeSpec.Tokenization.Patterns;

namespace NativeSpec.Tests.Tokenization.Normalization;

public sealed class NormalizerTests
{
    [Test]
    public void Steps_DoWhatTheirNamesSay()
    {
        Assert.That(Normalizer.Lowercase("ÀΣİẞ𐐀"), Is.EqualTo("àσi\u0307ß𐐨"));
        Assert.That(Normalizer.StripAccents("e\u0301x"), Is.EqualTo("ex"));
        Assert.That(Normalizer.Strip(left: true, right: false)("\u3000 a \n"), Is.EqualTo("a \n"));
        Assert.That(Normalizer.Strip(left: false, right: true)(" a \n"), Is.EqualTo(" a"));
        Assert.That(Normalizer.Replace(new LinearPattern(" {2,}"), "▁")("a  b c   "), Is.EqualTo("a▁b c▁"));
        Assert.That(Normalizer.ByteLetters(" é"), Is.EqualTo("ĠÃ©"));
    }

    // A double-array trie by hand: 'a' at 1 ^ 'a' has a leaf, after it 'b' has another. Values are places in "x\0yz\0".
    private static byte[] Map()
    {
        var units = new uint[512];
        units[0] = 1u << 10; // the root's offset is 1
        units[1 ^ 'a'] = Unit('a', 1 ^ 'a', 256, hasLeaf: true);
        units[256] = 0x80000000u | 0;
        units[256 ^ 'b'] = Unit('b', 256 ^ 'b', 384, hasLeaf: true);
        units[384] = 0x80000000u | 2;
        var bytes = new byte[4 + (4 * units.Length) + 5];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)(4 * units.Length));
        for (var i = 0; i < units.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4 + (4 * i)), units[i]);
        }

        "x\0yz\0"u8.CopyTo(bytes.AsSpan(4 + (4 * units.Length)));
        return bytes;

        static uint Unit(char label, int own, int children, bool hasLeaf) => ((uint)(own ^ children) << 10) | (hasLeaf ? 256u : 0) | label;
    }

    [Test]
    public void CharacterMap_ReplacesTheLongestSequence()
    {
        var map = CharacterMap.TryRead(Map())!;
        Assert.That(map.ReplaceLongest("ab a b é"), Is.EqualTo("yz x b é"));
        Assert.That(map.ReplaceGraphemes("ab a b é"), Is.EqualTo("xb x b é"));
    }

    [Test]
    public void CharacterMap_RandomFaults_ReadsNothingOutside()
    {
        var random = new Random(3);
        for (var round = 0; round < 3_000; round++)
        {
            var bytes = Map();
            for (var faults = random.Next(1, 40); faults > 0; faults--)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }

            var map = CharacterMap.TryRead(bytes.AsSpan(0, random.Next(bytes.Length + 1)));
            Assert.That(() => map?.ReplaceLongest("abaab é") + map?.ReplaceGraphemes("abab é"), Throws.Nothing);
        }
    }
}
