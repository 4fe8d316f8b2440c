using NativeSpec.Cli.Chatting;

namespace NativeSpec.Cli.Tests;

public sealed class LineEditorTests
{
    private static readonly ConsoleKeyInfo Enter = Key(ConsoleKey.Enter), Left = Key(ConsoleKey.LeftArrow), Right = Key(ConsoleKey.RightArrow), Up = Key(ConsoleKey.UpArrow), Down = Key(ConsoleKey.DownArrow),
        Home = Key(ConsoleKey.Home), Back = Key(ConsoleKey.Backspace), Delete = Key(ConsoleKey.Delete);

    [Test]
    public void Read_TypedInTheMiddle_StandsThere()
        => Assert.That(Lines([.. Typed("helo"), Left, Left, .. Typed("l"), Right, Right, .. Typed("!"), Enter]), Is.EqualTo(new[] { "hello!" }));

    [TestCase("a👩‍👩‍👧b", "ab", TestName = "a family is one character")]
    [TestCase("ae\u0301b", "ab", TestName = "an accent goes with its letter")]
    public void Read_BackspaceOverACharacterOfSeveralUnits_RemovesAllOfIt(string text, string expected)
        => Assert.That(Lines([.. Typed(text), Left, Back, Enter]), Is.EqualTo(new[] { expected }));

    [Test]
    public void Read_WordsAndEnds_AreRemovedByTheirKeys()
    {
        Assert.That(
            Lines([.. Typed("one two  "), Control(ConsoleKey.W), Enter, .. Typed("abc"), Left, Control(ConsoleKey.K), Enter, .. Typed("abc"), Left, Control(ConsoleKey.U), Enter, .. Typed("abc"), Home, Delete, Enter]),
            Is.EqualTo(new[] { "one ", "ab", "c", "bc" }));
    }

    [Test]
    public void Read_UpAndDown_RecallWhatWasEnteredAndWhatWasBegun()
        => Assert.That(
            Lines([.. Typed("first"), Enter, .. Typed("second"), Enter, .. Typed("beg"), Up, Up, Up, Down, Down, .. Typed("un"), Enter, Up, Up, Enter]),
            Is.EqualTo(new[] { "first", "second", "begun", "second" }));

    [Test]
    public void Read_ControlCAndControlD_DropALineAndCloseAnEmptyOne()
    {
        var keys = new Queue<ConsoleKeyInfo>([.. Typed("no"), Control(ConsoleKey.C), .. Typed("x"), Left, Control(ConsoleKey.D), Control(ConsoleKey.D)]);
        List<bool> taken = [];
        var editor = new LineEditor(new Keyboard(keys.Dequeue, taken.Add, () => 80), TextWriter.Null);

        Assert.That((editor.Read("> "), editor.Read("> ")), Is.EqualTo(((LineEnd.Dropped, "no"), (LineEnd.Closed, ""))));
        Assert.That(taken, Is.EqualTo(new[] { true, false, true, false }), "Ctrl+C is a signal again between lines");
    }

    [Test]
    public void Read_LongerThanTheWindow_ShowsTheCursorsPartInOneRow()
    {
        using var screen = new StringWriter();
        var keys = new Queue<ConsoleKeyInfo>([.. Typed(new string('a', 50) + "日本語"), Enter]);
        var editor = new LineEditor(new Keyboard(keys.Dequeue, _ => { }, () => 20), screen);

        Assert.That(editor.Read("> ").Line, Has.Length.EqualTo(53));
        var shown = screen.ToString().Split('\r', StringSplitOptions.RemoveEmptyEntries).Where(part => part.StartsWith("> ", StringComparison.Ordinal)).Select(part => part.Split('\e')[0]);
        Assert.That(shown.Select(Columns), Has.All.LessThan(20));
        Assert.That(shown.Last(), Does.EndWith("日本語"));
    }

    private static int Columns(string text) => text.Sum(one => one > 'z' ? 2 : 1);

    /// <summary>What is entered by these keys, until there are none.</summary>
    private static string[] Lines(ConsoleKeyInfo[] keys)
    {
        var left = new Queue<ConsoleKeyInfo>(keys);
        var editor = new LineEditor(new Keyboard(left.Dequeue, _ => { }, () => 80), TextWriter.Null);
        List<string> lines = [];
        while (left.Count > 0)
        {
            lines.Add(editor.Read("> ").Line);
        }

        return [.. lines];
    }

    private static ConsoleKeyInfo Key(ConsoleKey key) => new('\0', key, shift: false, alt: false, control: false);

    private static ConsoleKeyInfo Control(ConsoleKey key) => new('\0', key, shift: false, alt: false, control: true);

    private static IEnumerable<ConsoleKeyInfo> Typed(string text) => text.Select(typed => new ConsoleKeyInfo(typed, ConsoleKey.None, shift: false, alt: false, control: false));
}
