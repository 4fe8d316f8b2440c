using System.Globalization;
using System.Text.Json;
using System.Xml.Linq;
using NativeSpec.Cli.Trees;
using NativeSpec.Speculation.Medusa;
using NativeSpec.Speculation.TreeLayouts;

namespace NativeSpec.Cli.Tests;

/// <summary>A layout as text, JSON and SVG.</summary>
public sealed class TreePictureTests
{
    private static readonly TreeLayout Small = TreeLayout.FromChoices("small", [[0], [1], [0, 0], [0, 1], [1, 0], [0, 0, 0]]);
    private static readonly AcceptanceTable Acceptance = new([[0.5, 0.2], [0.4, 0.1], [0.25]]);

    [Test]
    public void Text_ASmallTree_IsDrawnWithItsMask() => Assert.That(TreeText.Render(Small), Is.EqualTo("""
        small: 7 nodes, 3 deep, 3 leaves, 2/3/1 per depth

        0 root
        1 ├─ 0
        3 │  ├─ 0
        6 │  │  └─ 0
        4 │  └─ 1
        2 └─ 1
        5    └─ 0

        mask: the node of the row sees the nodes marked #

        0 #
        1 ##
        2 #.#
        3 ##.#
        4 ##..#
        5 #.#..#
        6 ##.#..#

        """));

    [Test]
    public void Text_WithAcceptance_SaysWhatIsExpected()
    {
        var text = TreeText.Render(Small, Acceptance);
        Assert.That(text, Does.StartWith("small: 7 nodes, 3 deep, 3 leaves, 2/3/1 per depth, 2.08 tokens per round expected\n\n0 root\n1 ├─ 0  0.500\n3 │  ├─ 0  0.200\n6 │  │  └─ 0  0.050\n"));
    }

    [Test]
    public void Json_ASmallTree_SaysEverythingAndIsReadBack()
    {
        var json = TreeJson.Render(Small, Acceptance);

        using var document = JsonDocument.Parse(json);
        var root = document.RootElement;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(TreeJson.Render(Small), Is.EqualTo("""{"name":"small","nodes":7,"depth":3,"leaves":3,"parents":[-1,0,0,1,1,2,3],"depths":[0,1,1,2,2,2,3],"ranks":[-1,0,1,0,1,0,0]"""
                + ""","choices":[[0],[1],[0,0],[0,1],[1,0],[0,0,0]],"mask":["1","11","101","1101","11001","101001","1101001"]}"""));
            Assert.That(root.GetProperty("acceptance").EnumerateArray().Select(p => p.GetDouble()), Is.EqualTo(new[] { 1, 0.5, 0.2, 0.2, 0.05, 0.08, 0.05 }));
            Assert.That(root.GetProperty("expected_tokens").GetDouble(), Is.EqualTo(2.08));
            Assert.That(TreeJson.Render(MedusaTrees.Parse("x.json", json), Acceptance), Is.EqualTo(json));
        }
    }

    [Test]
    public void Svg_APublishedTree_IsWellFormedWithEveryNodeInsideAndApart([Values(true, false)] bool hasAcceptance)
    {
        var layout = MedusaTrees.Get("mc_sim_7b_63");
        var svg = XDocument.Parse(TreeSvg.Render(layout, hasAcceptance ? Acceptance : null)).Root!;
        XNamespace ns = "http://www.w3.org/2000/svg";
        double Number(XElement element, string name) => double.Parse(element.Attribute(name)!.Value, CultureInfo.InvariantCulture);
        var circles = svg.Descendants(ns + "circle").Select(circle => (X: Number(circle, "cx"), Y: Number(circle, "cy"), R: Number(circle, "r"))).ToArray();

        using (Assert.EnterMultipleScope())
        {
            Assert.That(svg.Name, Is.EqualTo(ns + "svg"));
            Assert.That(circles, Has.Length.EqualTo(64));
            Assert.That(svg.Descendants(ns + "path").Count(), Is.EqualTo(63), "an edge for every node but the root");
            Assert.That(circles.All(c => c.X - c.R > 0 && c.X + c.R < Number(svg, "width") && c.Y - c.R > 0 && c.Y + c.R < Number(svg, "height")), Is.True, "inside the picture");
            for (var i = 0; i < circles.Length; i++)
            {
                Assert.That(circles.Skip(i + 1).All(other => Math.Abs(other.X - circles[i].X) >= 2 * other.R || Math.Abs(other.Y - circles[i].Y) >= 2 * other.R), Is.True, $"node {i} stands alone");
            }

            Assert.That(svg.Descendants(ns + "title").Last().Value, Does.StartWith("node 63, [0, 0, 0, 1]"));
        }
    }

    [Test]
    public void Svg_ANodeThatIsLikelier_IsDarker()
    {
        XNamespace ns = "http://www.w3.org/2000/svg";
        var fills = XDocument.Parse(TreeSvg.Render(Small, Acceptance)).Descendants(ns + "circle").Select(circle => Convert.ToInt32(circle.Attribute("fill")!.Value[1..3], 16)).ToArray();
        var chances = Enumerable.Range(0, 7).Select(node => Acceptance.PathAcceptance(Small, node)).ToArray();
        Assert.That(fills.Zip(chances).OrderBy(pair => pair.First).Select(pair => pair.Second), Is.Ordered.Descending);
    }

    [Test]
    public void Svg_AHostileName_StaysText()
    {
        var layout = TreeLayout.FromChoices("</text><script>&\u0001\ud800", [[0]]);
        var svg = XDocument.Parse(TreeSvg.Render(layout));
        Assert.That(svg.Descendants().Select(element => element.Name.LocalName), Does.Not.Contain("script"));
    }
}
