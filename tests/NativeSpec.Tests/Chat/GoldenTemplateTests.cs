using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using NativeSpec.Chat.Templates;

namespace NativeSpec.Tests.Chat;

/// <summary>Published templates and small programs against Jinja's own output.</summary>
public sealed class GoldenTemplateTests
{
    [TestCase("templates")]
    [TestCase("language")]
    public void Render_EveryCase_GivesJinjasText(string folder)
    {
        var count = 0;
        List<string> wrong = [];
        foreach (var file in Directory.EnumerateFiles(SharedFiles.Require("data", "chat-templates", folder), "*.json").Order(StringComparer.Ordinal))
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            var template = document.RootElement.TryGetProperty("template", out var text) ? text.GetString() : null;
            foreach (var given in document.RootElement.GetProperty("cases").EnumerateArray())
            {
                count++;
                if (TemplateCases.Check(template, given) is { } fault)
                {
                    wrong.Add($"{given.GetProperty("id").GetString()}: {fault}");
                }
            }
        }

        Assert.That(count, Is.GreaterThan(300));
        Assert.That(wrong, Is.Empty, string.Join('\n', wrong));
    }

    [Test]
    public void Render_AHostileTemplate_EndsInAClearError()
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(SharedFiles.Require("data", "chat-templates", "hostile", "hostile.json")));
        List<string> wrong = [];
        var slowest = ("", TimeSpan.Zero, 0L);
        foreach (var given in document.RootElement.GetProperty("cases").EnumerateArray())
        {
            var (id, outcome) = (given.GetProperty("id").GetString()!, given.GetProperty("outcome").GetString()!);
            var template = TemplateCases.Assemble(given.GetProperty("parts"));
            var (began, before) = (Stopwatch.GetTimestamp(), GC.GetAllocatedBytesForCurrentThread());
            string? text = null, refused = null;
            try
            {
                text = TemplateCases.Render(ChatTemplate.Parse(template), given).Text;
            }
            catch (ChatTemplateException error)
            {
                refused = error.Message;
            }

            var took = (id, Stopwatch.GetElapsedTime(began), GC.GetAllocatedBytesForCurrentThread() - before);
            TestContext.Out.WriteLine($"{took.Item2.TotalMilliseconds,6:0} ms {took.Item3 >> 20,4} MB {id}: {refused ?? "rendered"}");
            slowest = took.Item2 > slowest.Item2 ? took : slowest;
            if (outcome == "error" && text is not null)
            {
                wrong.Add($"{id} rendered {text.Length} characters");
            }
            else if (text is not null && !IsExpected(given, text))
            {
                wrong.Add($"{id} rendered another text: {text[..Math.Min(text.Length, 100)]}");
            }
            else if (outcome == "text" && refused is not null)
            {
                wrong.Add($"{id} was refused: {refused}");
            }
        }

        Assert.That(wrong, Is.Empty, string.Join('\n', wrong));
    }

    private static bool IsExpected(JsonElement given, string text) => given.TryGetProperty("expected", out var expected)
        ? text == expected.GetString()
        : !given.TryGetProperty("expected_sha256", out var hash)
            || string.Equals(Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(text))), hash.GetString(), StringComparison.OrdinalIgnoreCase);
}
