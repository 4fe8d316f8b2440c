using NativeSpec.Loading;
using NativeSpec.Training.Corpus;

namespace NativeSpec.Training.Tests.Corpus;

public sealed class DocumentationCorpusTests
{
    [Test]
    public void Extract_AMember_IsItsNamespaceItsSignatureAndItsComment()
    {
        using var packs = new PackFolder();
        packs.AddMembers("""
            <member name="M:System.Int32.TryParse(System.String,System.Int32@)">
              <param name="s">A   string
                with <b>a</b> <see href="x">number</see> &lt; 5 &amp; more.</param>
              <param name="result">The number.</param>
              <summary>Converts <paramref name="s" /> to an <see cref="T:System.Int32">integer</see>.<br/>Says <see langword="true" /> on success.</summary>
              <returns><code data-dev-comment-type="paramref">s</code></returns>
              <exception cref="T:System.ArgumentNullException"><paramref name="s" /> is <see langword="null" />.</exception>
              <devremarks>Not for users.</devremarks>
            </member>
            """);
        Assert.That(DocumentationCorpus.Extract(packs.Path).Train, Is.EqualTo(new[]
        {
            """
            namespace System;
            int.TryParse(string s, out int result)
            /// <summary>Converts <paramref name="s"/> to an <see cref="int"/>. Says <see langword="true"/> on success.</summary>
            /// <param name="s">A string with a number &lt; 5 &amp; more.</param>
            /// <param name="result">The number.</param>
            /// <returns><c>s</c></returns>
            /// <exception cref="ArgumentNullException"><paramref name="s"/> is <see langword="null"/>.</exception>

            """.ReplaceLineEndings("\n"),
        }));
    }

    [Test]
    public void Extract_SplitsByNamespace_NeverWithinOne()
    {
        using var packs = new PackFolder();
        packs.AddMembers("""
            <member name="T:System.Text.Json.A"><summary>One.</summary></member>
            <member name="T:System.Text.Json.Nodes.B"><summary>Two.</summary></member>
            <member name="T:System.Text.JsonLike.C"><summary>Three.</summary></member>
            """);
        var corpus = DocumentationCorpus.Extract(packs.Path, ["System.Text.Json"]);
        Assert.Multiple(() =>
        {
            Assert.That(corpus.HeldOut.Select(LastLine), Is.EqualTo(new[] { "/// <summary>One.</summary>", "/// <summary>Two.</summary>" }));
            Assert.That(corpus.Train.Select(LastLine), Is.EqualTo(new[] { "/// <summary>Three.</summary>" }));
        });
    }

    [Test]
    public void Extract_RepeatedEmptyAndInheritedComments_AreLeftOut()
    {
        using var packs = new PackFolder();
        packs.AddMembers("""
            <member name="P:N.A.X"><summary>The same.</summary></member>
            <member name="P:N.B.X"><summary>The  same.</summary></member>
            <member name="P:N.C.X"><summary> </summary></member>
            <member name="P:N.D.X"><inheritdoc /></member>
            <member name="P:N.E.X"><summary>To be added.</summary></member>
            <member name="P:N.F.X"/>
            """);
        var corpus = DocumentationCorpus.Extract(packs.Path);
        Assert.That((corpus.Members, corpus.Train.Count, corpus.HeldOut.Count), Is.EqualTo((6, 1, 0)));
    }

    [Test]
    public void Extract_NamespacesLeftOut_AreNotThere()
    {
        using var packs = new PackFolder();
        packs.AddMembers("""<member name="T:System.Runtime.Intrinsics.X86.A"><summary>One.</summary></member><member name="T:N.B"><summary>Two.</summary></member>""");
        Assert.That(DocumentationCorpus.Extract(packs.Path).Train.Select(LastLine), Is.EqualTo(new[] { "/// <summary>Two.</summary>" }));
    }

    [Test]
    public void Extract_SeveralVersions_TakesTheNewest()
    {
        using var packs = new PackFolder();
        packs.AddMembers("""<member name="T:N.Old"><summary>Old.</summary></member>""", version: "9.0.11", framework: "net9.0");
        packs.AddMembers("""<member name="T:N.New"><summary>New.</summary></member>""", version: "10.0.2");
        Assert.That(DocumentationCorpus.Extract(packs.Path).Train, Is.EqualTo(new[] { "namespace N;\nNew\n/// <summary>New.</summary>\n" }));
    }

    [Test]
    public void Extract_NoPacks_SaysWhereItLookedAndWhatToDo()
    {
        using var packs = new PackFolder();
        Assert.That(() => DocumentationCorpus.Extract(packs.Path), Throws.TypeOf<FileNotFoundException>()
            .With.Message.Contains(packs.Path).And.Message.Contains("Microsoft.NETCore.App.Ref").And.Message.Contains("install"));
    }

    [TestCase("<doc>\n<members>\n<member name=\"T:A\">", "line 3")]
    [TestCase("<?xml version=\"1.0\"?>\n<!DOCTYPE doc [<!ENTITY a \"b\">]>\n<doc/>", "before its first element")]
    [TestCase("", "before its first element")]
    public void Extract_WhatIsNoXml_SaysTheFileAndThePlace(string text, string place)
    {
        using var packs = new PackFolder();
        var file = packs.Add(text);
        Assert.That(() => DocumentationCorpus.Extract(packs.Path), Throws.TypeOf<ModelFormatException>().With.Message.Contains(file).And.Message.Contains(place));
    }

    [Test]
    public void Extract_TheSdksOwnPacks_GivesTheSameTextTwiceAndFewRunsOfWordsInBothParts()
    {
        if (!Directory.Exists(ReferencePacks.DefaultFolder()))
        {
            Assert.Ignore($"{ReferencePacks.DefaultFolder()} is not here: the reference packs come with the .NET SDK");
        }

        var (one, two) = (DocumentationCorpus.Extract(), DocumentationCorpus.Extract());
        Assert.Multiple(() =>
        {
            Assert.That(one.Train.SequenceEqual(two.Train) && one.HeldOut.SequenceEqual(two.HeldOut));
            Assert.That(one.Train.Concat(one.HeldOut).Distinct().Count(), Is.EqualTo(one.Train.Count + one.HeldOut.Count).And.GreaterThan(50_000));
            Assert.That(NGramOverlap.Share(one.Train, one.HeldOut), Is.GreaterThan(0).And.LessThan(0.25));
        });
    }

    private static string LastLine(string document) => document.TrimEnd('\n').Split('\n')[^1];
}
