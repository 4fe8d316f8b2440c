using System.Net;
using System.Text;
using NativeSpec.Tests;

namespace NativeSpec.Extensions.AI.Tests;

/// <summary>The sample, run as its README says.</summary>
public sealed class ChatServiceTests
{
    [Test]
    public async Task TheSample_StreamsAnAnswer_RefusesByStatus_AndStops()
    {
        using var service = await ChildProcess.StartAsync("samples/ChatService", "--urls", "http://127.0.0.1:0", "--contentRoot", Repository.Find("samples", "ChatService"));
        using var client = new HttpClient { BaseAddress = service.Address, Timeout = TimeSpan.FromMinutes(1) };

        var answer = await PostAsync(client, """[{"role":"user","text":"namespace MyCompany.Collections;\nRingBuffer<T>.CopyTo(T[] array, int index)\n"}]""");
        var tooLong = await PostAsync(client, $$"""[{"role":"user","text":"{{string.Concat(Enumerable.Repeat("word ", 20_000))}}"}]""");
        var broken = await PostAsync(client, "[{");
        using var ready = await client.GetAsync(new Uri("/health/ready", UriKind.Relative));

        var expected = await BoxModel.Engine.CompleteChatAsync([new("user", BoxModel.Signature)], new() { MaxTokens = 200 });
        Assert.That(answer, Is.EqualTo((HttpStatusCode.OK, expected.Text)));
        Assert.That((tooLong.Status, broken.Status, ready.StatusCode), Is.EqualTo((HttpStatusCode.BadRequest, HttpStatusCode.BadRequest, HttpStatusCode.OK)));
        if (!OperatingSystem.IsWindows())
        {
            await service.TerminateAsync();
            Assert.That(await service.ExitAsync(), Is.Zero, "it has stopped, and not been ended");
        }
    }

    private static async Task<(HttpStatusCode Status, string Text)> PostAsync(HttpClient client, string json)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        using var response = await client.PostAsync(new Uri("/chat", UriKind.Relative), content);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }
}
