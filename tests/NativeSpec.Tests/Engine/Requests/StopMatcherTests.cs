using System.Text;
using NativeSpec.Engine.Requests;

namespace NativeSpec.Tests.Engine.Requests;

internal sealed class StopMatcherTests
{
    [TestCase("hello STOP world", "STOP", "hello ", 0, TestName = "A stop ends the text before it")]
    [TestCase("hello STO", "STOP", "hello STO", -1, TestName = "A beginning of a stop is text in the end")]
    [TestCase("xabcd", "abcd|bc", "xa", 1, TestName = "The stop that ends earliest wins")]
    [TestCase("xabcd", "d|abcd|cd", "x", 1, TestName = "Of stops that end at one byte the longest wins")]
    [TestCase("xabcd", "abcde|abc", "x", 1, TestName = "A stop that is a beginning of another wins when it is complete")]
    [TestCase("aaab", "aab|aab", "a", 0, TestName = "Of equal stops the first wins")]
    [TestCase("ababababac", "ababac", "abab", 0, TestName = "A stop that overlaps its own beginnings is found")]
    [TestCase("né€😀!", "€😀", "né", 0, TestName = "Stops of several-byte characters are found")]
    [TestCase("é", "è", "é", -1, TestName = "Characters that share their first byte differ")]
    public void Append_AnyPieces_ReleasesTheTextBeforeTheStop(string text, string stops, string expected, int found)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        for (var piece = 1; piece <= bytes.Length; piece++)
        {
            var matcher = new StopMatcher(stops.Split('|'));
            var shown = Run(matcher, bytes, _ => piece);
            Assert.That(Encoding.UTF8.GetString(shown), Is.EqualTo(expected), $"pieces of {piece} bytes");
            Assert.That(matcher.FoundStop, Is.EqualTo(found));
        }
    }

    [Test]
    public void Append_RandomTextsAndStops_AgreesWithBruteForce()
    {
        var random = new Random(11);
        for (var round = 0; round < 20_000; round++)
        {
            var stops = Enumerable.Range(0, random.Next(5)).Select(_ => RandomText(random, 1 + random.Next(6))).ToArray();
            var text = Encoding.UTF8.GetBytes(RandomText(random, random.Next(40)));
            var (expected, found) = BruteForce(text, stops);
            var matcher = new StopMatcher(stops);

            var shown = Run(matcher, text, _ => random.Next(8));

            Assert.That(shown, Is.EqualTo(expected), $"round {round}");
            Assert.That(matcher.FoundStop, Is.EqualTo(found), $"round {round}");
        }
    }

    [Test]
    public void Append_EveryByte_HoldsBackExactlyWhatMayStillBecomeAStop()
    {
        var random = new Random(12);
        for (var round = 0; round < 2000; round++)
        {
            var stops = Enumerable.Range(0, 1 + random.Next(4)).Select(_ => RandomText(random, 1 + random.Next(6))).ToArray();
            var text = Encoding.UTF8.GetBytes(RandomText(random, 30));
            var matcher = new StopMatcher(stops);
            var released = 0;
            for (var end = 1; end <= text.Length && matcher.FoundStop < 0; end++)
            {
                released += matcher.Append(text.AsSpan(end - 1, 1)).Length;
                if (matcher.FoundStop < 0)
                {
                    var held = Enumerable.Range(0, end).Reverse().LastOrDefault(start => stops.Any(stop =>
                        Encoding.UTF8.GetBytes(stop).AsSpan().StartsWith(text.AsSpan(start, end - start))), end);
                    Assert.That(released, Is.EqualTo(held), $"round {round}, byte {end}");
                }
            }
        }
    }

    [Test]
    public void Append_WithoutStops_ReleasesEverythingAtOnce()
    {
        Assert.That(new StopMatcher([]).Append("abc"u8).ToArray(), Is.EqualTo("abc"u8.ToArray()));
    }

    [Test]
    public void Append_Nothing_KeepsWhatIsHeld()
    {
        var matcher = new StopMatcher(["ab"]);

        Assert.That(matcher.Append("xa"u8).ToArray(), Is.EqualTo("x"u8.ToArray()));
        Assert.That(matcher.Append([]).Length, Is.Zero);
        Assert.That(matcher.Append("b"u8).Length, Is.Zero);
        Assert.That(matcher.FoundStop, Is.Zero);
        Assert.That(matcher.Flush().Length, Is.Zero);
    }

    [Test]
    public void Append_AfterAStop_Throws()
    {
        var matcher = new StopMatcher(["b"]);
        matcher.Append("ab"u8);

        Assert.That(() => matcher.Append("c"u8).Length, Throws.InvalidOperationException);
    }

    [Test]
    public void Append_OnceWarm_AllocatesNothing()
    {
        var matcher = new StopMatcher(["never", "ababac"]);
        var piece = "abababab"u8.ToArray();
        matcher.Append(piece);
        matcher.Append(piece);

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
        {
            matcher.Append(piece);
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    [Test]
    public void Append_TextThatNearlyRepeatsTheStop_VisitsEachByteAFewTimes()
    {
        // A search that starts anew at each byte would look at 4 million × 1023 bytes.
        var matcher = new StopMatcher([.. Enumerable.Range(0, 16).Select(i => new string('a', 1023) + (char)('b' + i))]);
        var text = Enumerable.Repeat((byte)'a', 4_000_000).ToArray();

        Assert.That(matcher.Append(text).Length, Is.EqualTo(text.Length - 1023));
    }

    [Test]
    public void Constructor_BadStops_AreRefusedByNumber()
    {
        Assert.That(() => new StopMatcher(["a", ""]), Throws.ArgumentException.With.Message.Contains("stop string 1 has 0"));
        Assert.That(() => new StopMatcher([new string('é', 513)]), Throws.ArgumentException.With.Message.Contains("1026"));
        Assert.That(() => new StopMatcher(["\ud83d"]), Throws.ArgumentException.With.Message.Contains("surrogate"));
        Assert.That(() => new StopMatcher(Enumerable.Repeat("a", 17).ToArray()), Throws.ArgumentException.With.Message.Contains("17"));
        Assert.That(() => new StopMatcher([.. Enumerable.Repeat(new string('é', 512), 16)]), Throws.Nothing);
    }

    private static byte[] Run(StopMatcher matcher, byte[] text, Func<int, int> pieceAt)
    {
        var shown = new List<byte>();
        for (var start = 0; start < text.Length && matcher.FoundStop < 0;)
        {
            var length = Math.Min(pieceAt(start), text.Length - start);
            shown.AddRange(matcher.Append(text.AsSpan(start, length)));
            start += length;
        }

        shown.AddRange(matcher.Flush());
        return [.. shown];
    }

    private static (byte[] Shown, int Found) BruteForce(byte[] text, string[] stops)
    {
        var encoded = stops.Select(Encoding.UTF8.GetBytes).ToArray();
        for (var end = 1; end <= text.Length; end++)
        {
            var found = Enumerable.Range(0, stops.Length)
                .Where(stop => text.AsSpan(0, end).EndsWith(encoded[stop]))
                .OrderByDescending(stop => encoded[stop].Length)
                .DefaultIfEmpty(-1)
                .First();
            if (found >= 0)
            {
                return (text[..(end - encoded[found].Length)], found);
            }
        }

        return (text, -1);
    }

    private static string RandomText(Random random, int length) =>
        string.Concat(Enumerable.Range(0, length).Select(_ => random.Next(12) switch { 0 => "é", 1 => "è", 2 => "€", < 8 => "a", _ => "b" }));
}
