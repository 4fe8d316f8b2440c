using System.Text.Json;
using NativeSpec.Chat.Templates;

namespace NativeSpec.Tests.Chat;

/// <summary>Corners of Python and Jinja that a comparison of random templates with Jinja 3.1 found. The expected texts are Jinja's.</summary>
public sealed class LanguageTests
{
    [TestCase("{{ none|select|list }}{{ 0|map('upper')|list }}", "[][]")]
    [TestCase("{{ 3|round }} {{ 2.5|round }} {{ 3|round(1, 'ceil') }}", "3 2.0 3.0")]
    [TestCase("{{ 2.5 is even }} {{ 2.0 is even }} {{ 3.0 is odd }}", "False True True")]
    [TestCase("{{ x is callable }} {{ 1 is callable }}", "True False")]
    [TestCase("{{ []|wordcount }} {{ 'a-b c_d'|wordcount }}", "0 3")]
    [TestCase("[{{ 'True'.center(9) }}] [{{ 'ab'.center(5) }}] [{{ 'a'.center(4) }}]", "[   True  ] [  ab ] [ a  ]")]
    [TestCase("{{ ['<'|safe, '<'|e] }}", "[Markup('<'), Markup('&lt;')]")]
    [TestCase("{% macro f() %}{% endmacro %}{{ f }}", "<Macro 'f'>")]
    [TestCase("{{ ('<'|safe) + '<' }}{{ '<' + ('<'|safe) }}{{ ('<'|safe) ~ '<' }}", "<&lt;&lt;<<<")]
    [TestCase("{{ 1e-7 }} {{ 1e22 }} {{ 123456789012345680.0 }} {{ 0.0001 }} {{ -0.0 }}", "1e-07 1e+22 1.2345678901234568e+17 0.0001 -0.0")]
    public void Render_ACorner_GivesJinjasText(string template, string expected)
        => Assert.That(ChatTemplate.Parse(template).Render(new Dictionary<string, JsonElement>()).Text, Is.EqualTo(expected));

    [TestCase("{{ x|int }}")]
    [TestCase("{{ x|float }}")]
    [TestCase("{{ none|indent }}")]
    [TestCase("{{ [1]|indent }}")]
    public void Render_WhatPythonRefuses_IsRefused(string template)
        => Assert.That(
            () => ChatTemplate.Parse(template).Render(new Dictionary<string, JsonElement>()),
            Throws.TypeOf<ChatTemplateException>().With.Property(nameof(ChatTemplateException.Fault)).EqualTo(ChatTemplateFault.Rendering));

    /// <summary>Ways into depth, size and time that no print and no text goes through.</summary>
    [TestCase("{% set ns = namespace(t=()) %}{% for i in range(50000) %}{% set ns.t = (ns.t,) %}{% endfor %}{{ {ns.t: 1} }}")]
    [TestCase("{% set ns = namespace(t=()) %}{% for i in range(50000) %}{% set ns.t = (ns.t,) %}{% endfor %}{{ [ns.t, ns.t]|unique|list|length == 1 and ns.t == (1,) and ns.t < ((),) }}{{ ns.t }}")]
    [TestCase("{% set ns = namespace(x=[]) %}{% for i in range(20000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|map(*(['map'] * 20000))|list }}")]
    [TestCase("{% set ns = namespace(a=[], b=[]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}")]
    [TestCase("{% set s = 'ab' * 400000 %}{% for i in range(99999) %}{% set x = 'zz' in s %}{% endfor %}")]
    [TestCase("{% set s = 'ab' * 400000 %}{% for i in range(99999) %}{% set x = s|length %}{% endfor %}")]
    public void Render_WhatWouldTakeForEver_EndsAtALimit(string template)
        => Assert.That(
            () => ChatTemplate.Parse(template).Render(new Dictionary<string, JsonElement>()),
            Throws.TypeOf<ChatTemplateException>().With.Property(nameof(ChatTemplateException.Fault)).EqualTo(ChatTemplateFault.Limit));

    [Test]
    public void Render_KeysThatCannotBeSorted_IsRefusedAsItIs()
        => Assert.That(
            () => ChatTemplate.Parse("{{ {1: 1, 'a': 2}|tojson(sort_keys=true) }}").Render(new Dictionary<string, JsonElement>()),
            Throws.TypeOf<ChatTemplateException>().With.Message.Contains("'<' does not compare"));

    [Test]
    public void Render_DataThatLiesTooDeep_IsRefused()
    {
        using var deep = JsonDocument.Parse(new string('[', 150) + new string(']', 150), new JsonDocumentOptions { MaxDepth = 200 });

        Assert.That(
            () => ChatTemplate.Parse("x").Render(new Dictionary<string, JsonElement> { ["x"] = deep.RootElement }),
            Throws.TypeOf<ChatTemplateException>().With.Property(nameof(ChatTemplateException.Fault)).EqualTo(ChatTemplateFault.Limit));
    }
}
