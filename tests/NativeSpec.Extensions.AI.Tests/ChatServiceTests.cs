using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.RegularExpressions;
using NativeSpec.Tests;

namespace NativeSpec.Extensions.AI.Tests;

/// <summary>The sample, run as its README says.</summary>
public sealed partial class ChatServiceTests
{
    private static readonly string Built = Repository.Find("samples", "ChatService", "bin", Path.GetFileName(Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)))!, "net10.0", "ChatService.dll");

    [Test]
    public async Task TheSample_StreamsAnAnswer_RefusesByStatus_AndStops()
    {
        using var service = Start();
        try
        {
            var address = await ReadAddressAsync(service);
            using var client = new HttpClient { BaseAddress = new Uri(address), Timeout = TimeSpan.FromMinutes(1) };

            var answer = await PostAsync(client, """[{"role":"user","text":"namespace MyCompany.Collections;\nRingBuffer<T>.CopyTo(T[] array, int index)\n"}]""");
            var tooLong = await PostAsync(client, $$"""[{"role":"user","text":"{{string.Concat(Enumerable.Repeat("word ", 20_000))}}"}]""");
            var broken = await PostAsync(client, "[{");
            using var ready = await client.GetAsync(new Uri("/health/ready", UriKind.Relative));

            var expected = await BoxModel.Engine.CompleteChatAsync([new("user", BoxModel.Signature)], new() { MaxTokens = 200 });
            Assert.That(answer, Is.EqualTo((HttpStatusCode.OK, expected.Text)));
            Assert.That((tooLong.Status, broken.Status, ready.StatusCode), Is.EqualTo((HttpStatusCode.BadRequest, HttpStatusCode.BadRequest, HttpStatusCode.OK)));
            if (!OperatingSystem.IsWindows())
            {
                using var terminate = Process.Start("kill", ["-TERM", $"{service.Id}"]);
                Assert.That(service.WaitForExit(TimeSpan.FromSeconds(30)), Is.True);
                Assert.That(service.ExitCode, Is.Zero, "it has stopped, and not been ended");
            }
        }
        finally
        {
            await EndAsync(service);
        }
    }

    private static async Task<(HttpStatusCode Status, string Text)> PostAsync(HttpClient client, string json)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        using var response = await client.PostAsync(new Uri("/chat", UriKind.Relative), content);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    private static Process Start()
    {
        Assert.That(Built, Does.Exist, "the sample is built with its tests");
        var start = new ProcessStartInfo("dotnet", [Built, "--urls", "http://127.0.0.1:0", "--contentRoot", Repository.Find("samples", "ChatService")])
        {
            WorkingDirectory = Repository.Root,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        return Process.Start(start)!;
    }

    // The runtime says which port it got, or that it has no ASP.NET Core.
    private static async Task<string> ReadAddressAsync(Process service)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        var errors = service.StandardError.ReadToEndAsync(timeout.Token);
        while (await service.StandardOutput.ReadLineAsync(timeout.Token) is { } line)
        {
            if (Listening().Match(line) is { Success: true } found)
            {
                _ = service.StandardOutput.BaseStream.CopyToAsync(Stream.Null, CancellationToken.None);
                return found.Groups[1].Value;
            }
        }

        var error = await errors;
        if (error.Contains("Microsoft.AspNetCore.App", StringComparison.Ordinal))
        {
            Assert.Ignore("the runtime of ASP.NET Core is not here");
        }

        throw new AssertionException($"the service ended before it listened: {error}");
    }

    private static async Task EndAsync(Process service)
    {
        if (!service.HasExited)
        {
            service.Kill();
        }

        await service.WaitForExitAsync();
    }

    [GeneratedRegex(@"Now listening on: (http://127\.0\.0\.1:\d+)")]
    private static partial Regex Listening();
}
