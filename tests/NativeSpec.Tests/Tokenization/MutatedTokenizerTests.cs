using System.Text;
using NativeSpec.Loading;

namespace NativeSpec.Tests.Tokenization;

/// <summary>Files with random faults either load, and then encode and decode, or are refused: nothing else happens.</summary>
public sealed class MutatedTokenizerTests
{
    private static readonly (string Name, byte[] File)[] Files =
    [
        ("tokenizer.json", Encoding.UTF8.GetBytes(TestTokenizers.ByteLevel(300).ToJsonString())),
        ("tokenizer.json", Encoding.UTF8.GetBytes(TestTokenizers.Llama2().ToJsonString())),
        ("tokenizer.model", TestTokenizers.SentencePiece()),
    ];

    private static readonly byte[] Extremes = [0x00, 0x7F, 0x80, 0xFF, (byte)'"', (byte)'{', (byte)']', (byte)'-', (byte)'9', (byte)',', (byte)'\\'];

    [Test]
    public void Load_RandomFaults_LoadsOrRefuses([Range(0, 2)] int which)
    {
        var random = new Random(23 + which);
        var (name, file) = Files[which];
        var refused = 0;
        for (var round = 0; round < 1_500; round++)
        {
            try
            {
                var tokenizer = TestTokenizers.Load(Mutate(file, random), name);
                tokenizer.Decode(tokenizer.Encode("hello the <s> é 🦙 12", parseSpecial: true));
            }
            catch (ModelFormatException)
            {
                refused++;
            }
        }

        Assert.That(refused, Is.GreaterThan(100));
    }

    private static byte[] Mutate(byte[] original, Random random)
    {
        var file = original.ToList();
        for (var faults = random.Next(1, 4); faults > 0 && file.Count > 1; faults--)
        {
            // The parts that say how to read the rest lie at either end: faults there say more than in the vocabulary.
            var at = random.Next(3) switch { 0 => random.Next(Math.Min(2000, file.Count)), 1 => file.Count - 1 - random.Next(Math.Min(2000, file.Count)), _ => random.Next(file.Count) };
            var length = Math.Min(random.Next(1, 40), file.Count - at);
            switch (random.Next(5))
            {
                case 0:
                    file[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    file[at] = Extremes[random.Next(Extremes.Length)];
                    break;
                case 2:
                    file.RemoveRange(at, length);
                    break;
                case 3:
                    file.InsertRange(at, file.GetRange(random.Next(file.Count - length + 1), length));
                    break;
                default:
                    file.RemoveRange(at, file.Count - at);
                    break;
            }
        }

        return [.. file];
    }
}
