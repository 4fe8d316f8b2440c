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
}
