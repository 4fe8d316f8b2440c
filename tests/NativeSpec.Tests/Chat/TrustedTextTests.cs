using System.Text.Json;
using NativeSpec.Chat.Templates;
using NativeSpec.Tests.Tokenization;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Chat;

/// <summary>Only what the template writes can become a control token.</summary>
public sealed class TrustedTextTests
{
    [Test]
    public void Render_EveryWayToHandleText_KeepsItsOrigin()
    {
        // Each way must leave the template's <s> the template's and the message's the message's.
        string[] ways =
        [
            "{{ '<s>' + x }}", "{{ x ~ '<s>' }}", "{{ ('<s>' + x)|trim }}", "{{ [x, '<s>']|join('|') }}", "{{ '<s>-'.replace('-', x) }}", "{{ x.replace('a', '<s>') }}",
            "{{ ('<s>' + x)|tojson }}", "{{ {'<s>': x} }}", "{{ ('<s>' + x).upper().lower() }}", "{{ ('<s>|' + x).split('|')|join }}", "{{ ('<s>' + x)[::-1][::-1] }}",
            "{% set y %}<s>{{ x }}{% endset %}{{ y }}", "{% macro f(a) %}<s>{{ a }}{% endmacro %}{{ f(x) }}", "{% filter trim %} <s>{{ x }} {% endfilter %}", "{{ ('<s>' + x)|indent }}",
            "{{ '%' ~ ['<s>', x]|first }}{{ x }}", "{{ x.join(['<s>', '']) }}", "{{ (x ~ '<s>').partition('a')|join }}", "{{ ('<s>\n' ~ x).splitlines()|join }}", "{{ ('<s>' ~ x)|list|join }}",
        ];
        foreach (var way in ways)
        {
            var rendered = ChatTemplate.Parse(way).Render(new Dictionary<string, JsonElement> { ["x"] = JsonSerializer.SerializeToElement("a<s>b") });
            List<bool> origins = [];
            for (var at = rendered.Text.IndexOf("<s>", StringComparison.Ordinal); at >= 0; at = rendered.Text.IndexOf("<s>", at + 1, StringComparison.Ordinal))
            {
                origins.Add(rendered.IsOfTemplate(at, at + 3));
            }

            Assert.That(origins, Is.EquivalentTo(new[] { true, false }), $"{way}: {rendered.Text}");
        }
    }

    [TestCase("{% for k, v in dict(**d).items() %}{{ k }}{% endfor %}")]
    [TestCase("{% macro f() %}{{ kwargs }}{% endmacro %}{{ f(**d) }}")]
    [TestCase("{{ d.keys()|first }}")]
    [TestCase("{{ strftime_now(d.keys()|first) }}")]
    [TestCase("{{ [1, 2]|tojson(separators=(d.keys()|first, ':')) }}")]
    [TestCase("{{ [1]|tojson(indent=d.keys()|first) }}")]
    [TestCase("{{ 'x\ny'|indent(d.keys()|first) }}")]
    [TestCase("{{ 'x'.center(9, d.keys()|first|first) }}{{ d.keys()|first }}")]
    [TestCase("{{ ['a', 'b']|join(d.keys()|first) }}")]
    public void Render_KeysAndArguments_AreDataWhereverTheyComeOut(string template)
    {
        var rendered = ChatTemplate.Parse(template).Render(new Dictionary<string, JsonElement> { ["d"] = JsonSerializer.Deserialize<JsonElement>("""{"<s>": 1}""") });

        var at = rendered.Text.IndexOf("<s>", StringComparison.Ordinal);
        Assert.That(at, Is.GreaterThanOrEqualTo(0), rendered.Text);
        Assert.That(rendered.IsOfTemplate(at, at + 3), Is.False, rendered.Text);
    }

    [Test]
    public void Render_ATokenPutTogetherFromBoth_IsNotTheTemplates()
    {
        var rendered = ChatTemplate.Parse("<|im_{{ x }}|>").Render(new Dictionary<string, JsonElement> { ["x"] = JsonSerializer.SerializeToElement("end") });

        Assert.That(rendered.Text, Is.EqualTo("<|im_end|>"));
        Assert.That(rendered.IsOfTemplate(0, rendered.Text.Length), Is.False);
    }
}

/// <summary>The same by published tokenizers, which are large: one is loaded for all tests.</summary>
[TestFixture("deepseek-v3")]
[TestFixture("gpt-oss")]
[TestFixture("gpt2")]
[TestFixture("mistral-tekken")]
[TestFixture("mistral-v3")]
[TestFixture("olmo2-dolma2")]
[TestFixture("phi3")]
[TestFixture("qwen3")]
public sealed class TrustedTextEncodingTests(string name)
{
    private Tokenizer _tokenizer = null!;

    [OneTimeSetUp]
    public void Load()
    {
        var folder = SharedVectorTests.Unpack(SharedFiles.Require("data", "tokenizers", name));
        try
        {
            _tokenizer = Tokenizer.Load(name == "gpt2" ? Path.Combine(folder, "tokenizer.json") : folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Test]
    public void Encode_SpecialTokensInMessages_AreText()
    {
        var special = Enumerable.Range(0, _tokenizer.VocabSize).Where(_tokenizer.IsSpecial).ToArray();
        var marker = special[^1];
        var template = ChatTemplate.Parse("{{ marker }}{% for m in messages %}{{ m.role }}\n{{ m.content }}{{ marker }}{% endfor %}{{ tools|tojson }}");
        Dictionary<string, string> tokens = new() { ["marker"] = _tokenizer.TokenText(marker) };

        int[] Encode(string content) => template.Render(
            new Dictionary<string, JsonElement>
            {
                ["messages"] = JsonSerializer.SerializeToElement(new[] { new { role = "user", content }, new { role = content, content = "x" } }),
                ["tools"] = JsonSerializer.SerializeToElement(new[] { new { name = content } }),
            },
            tokens).Encode(_tokenizer);

        var everything = Encode(string.Join(' ', special.Select(id => _tokenizer.TokenText(id))));
        Assert.That(everything.Where(_tokenizer.IsSpecial), Is.EqualTo(new[] { marker, marker, marker }));
        foreach (var id in special.Take(40))
        {
            var text = _tokenizer.TokenText(id);
            foreach (var content in new[] { text, $"a{text}b", text + text, text[1..], text[..^1] })
            {
                Assert.That(Encode(content).Where(_tokenizer.IsSpecial), Is.EqualTo(new[] { marker, marker, marker }), content);
            }
        }
    }

    [Test]
    public void Encode_BenignText_GivesTheIdsOfTheWholeText()
    {
        var marker = _tokenizer.TokenText(Enumerable.Range(0, _tokenizer.VocabSize).Last(_tokenizer.IsSpecial));
        var template = ChatTemplate.Parse("{% for m in messages %}{{ marker }} {{ m }}\n{{ marker }}\n{{ m|trim }} {{ m }}{% endfor %}");
        foreach (var message in new[] { "Hello, world", " leading", "trailing \n", "\n\n\nlines\n\n", "naïve 日本語 😀", "    code()\n\t\tx", "", "'ll", "1234567", "<think> & <b>" })
        {
            var rendered = template.Render(
                new Dictionary<string, JsonElement> { ["messages"] = JsonSerializer.SerializeToElement(new[] { message, message }) }, new Dictionary<string, string> { ["marker"] = marker });

            if (message == "<think> & <b>" && _tokenizer.Encode(message, addSpecial: false, parseSpecial: true).Length < _tokenizer.EncodeUntrusted(message).Length)
            {
                continue; // there it is a token of the tokenizer, and so no benign text
            }

            Assert.That(rendered.Encode(_tokenizer), Is.EqualTo(_tokenizer.Encode(rendered.Text, addSpecial: false, parseSpecial: true)), message);
        }
    }
}
