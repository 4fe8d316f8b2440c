using System.Buffers;
using System.Text;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Tokenization;

public sealed class StreamingDetokenizerTests
{
    private static readonly Tokenizer[] Tokenizers =
        [TestTokenizers.Load(TestTokenizers.ByteLevel(300)), TestTokenizers.Load(TestTokenizers.Llama2())];

    [Test]
    public void Append_RandomTokens_StreamsWhatDecodeGivesAndNeverHalfACharacter(
        [ValueSource(nameof(Tokenizers))] Tokenizer tokenizer, [Values] bool skipSpecial, [Values] bool atTextStart)
    {
        var random = new Random(13);
        var detokenizer = tokenizer.CreateDetokenizer(skipSpecial, atTextStart);
        var output = new ArrayBufferWriter<byte>();
        for (var round = 0; round < 3_000; round++)
        {
            // Tokens of random bytes are mostly no UTF-8; those of a text are, but not within each token.
            int[] ids = round % 2 == 0
                ? [.. Enumerable.Range(0, random.Next(12)).Select(_ => random.Next(tokenizer.VocabSize))]
                : tokenizer.Encode(RandomText.Next(random, 6))[random.Next(2)..];
            var streamed = new StringBuilder();
            foreach (var id in ids)
            {
                detokenizer.Append(id, output);
                Assert.That(System.Text.Unicode.Utf8.IsValid(output.WrittenSpan), Is.True);
                streamed.Append(Encoding.UTF8.GetString(output.WrittenSpan));
                output.Clear();
            }

            detokenizer.Flush(output);
            streamed.Append(Encoding.UTF8.GetString(output.WrittenSpan));
            output.Clear();
            Assert.That(streamed.ToString(), Is.EqualTo(tokenizer.Decode(ids, skipSpecial, atTextStart)));
        }
    }

    [Test]
    public void Decode_RandomBytes_ReplacesWhatIsNoUtf8AsTheRuntimeDoes()
    {
        var random = new Random(17);
        byte[] interesting = [0x00, 0x41, 0x7F, 0x80, 0xBF, 0xC0, 0xC2, 0xE0, 0xA0, 0xED, 0x9F, 0xEF, 0xF0, 0x90, 0xF4, 0x8F, 0xF5, 0xFF];
        for (var round = 0; round < 20_000; round++)
        {
            var bytes = Enumerable.Range(0, random.Next(8)).Select(_ => interesting[random.Next(interesting.Length)]).ToArray();
            Assert.That(Tokenizers[0].Decode([.. bytes.Select(b => (int)b)]), Is.EqualTo(Encoding.UTF8.GetString(bytes)));
        }
    }

    [Test]
    public void Append_IncompleteSequence_WaitsAndFlushReplacesIt()
    {
        var detokenizer = Tokenizers[0].CreateDetokenizer();
        var output = new ArrayBufferWriter<byte>();
        foreach (var value in Encoding.UTF8.GetBytes("🦙")[..3])
        {
            detokenizer.Append(value, output);
            Assert.That(output.WrittenCount, Is.Zero);
        }

        detokenizer.Flush(output);
        Assert.That(Encoding.UTF8.GetString(output.WrittenSpan), Is.EqualTo("\uFFFD"));
    }

    [Test]
    public void Append_OfAContinuation_KeepsItsLeadingSpace()
    {
        var output = new ArrayBufferWriter<byte>();
        Tokenizers[1].CreateDetokenizer().Append(263, output);
        Assert.That(Encoding.UTF8.GetString(output.WrittenSpan), Is.EqualTo(" hello"));
    }

    [Test]
    public void Append_OnceWarm_AllocatesNothing()
    {
        var ids = Tokenizers[0].Encode("hello the llama 🦙 é 中 ");
        var detokenizer = Tokenizers[0].CreateDetokenizer();
        var output = new ArrayBufferWriter<byte>(4096);
        Round();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Round();
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);

        void Round()
        {
            foreach (var id in ids)
            {
                detokenizer.Append(id, output);
            }

            detokenizer.Flush(output);
            output.ResetWrittenCount();
        }
    }
}
