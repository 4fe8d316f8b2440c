using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;

namespace NativeSpec.Server.Answers;

/// <summary>An answer that is sent as it is written: server-sent events, each a line <c>data:</c> with JSON.</summary>
internal sealed class EventStream : IDisposable
{
    private readonly HttpResponse _response;
    private readonly Utf8JsonWriter _json;

    /// <summary>Begins the answer. Clients are not asked what they accept: those of .NET ask for JSON and read events.</summary>
    public EventStream(HttpResponse response)
    {
        _response = response;
        response.StatusCode = StatusCodes.Status200OK;
        response.ContentType = "text/event-stream; charset=utf-8";
        response.Headers.CacheControl = "no-cache";
        response.Headers["X-Accel-Buffering"] = "no"; // reverse proxies hand each event on at once
        _json = new Utf8JsonWriter(response.BodyWriter, ServerJson.Writer);
    }

    /// <summary>Writes an event; <see cref="FlushAsync"/> sends it.</summary>
    /// <param name="value">What it holds.</param>
    /// <param name="type">How that is written.</param>
    /// <param name="name">The event's name; null for none.</param>
    public void Write<T>(T value, JsonTypeInfo<T> type, string? name = null)
    {
        if (name is not null)
        {
            Write("event: "u8);
            Write(System.Text.Encoding.ASCII.GetBytes(name));
            Write("\n"u8);
        }

        Write("data: "u8);
        _json.Reset(_response.BodyWriter);
        JsonSerializer.Serialize(_json, value, type);
        _json.Flush();
        Write("\n\n"u8);
    }

    /// <summary>Writes the last event of OpenAI's older protocols.</summary>
    public void WriteDone() => Write("data: [DONE]\n\n"u8);

    /// <summary>Sends what was written; waits while the client reads nothing, and with it the text.</summary>
    public async ValueTask FlushAsync(CancellationToken cancellationToken)
        => await _response.BodyWriter.FlushAsync(cancellationToken).ConfigureAwait(false);

    public void Dispose() => _json.Dispose();

    private void Write(ReadOnlySpan<byte> bytes)
    {
        var room = _response.BodyWriter.GetSpan(bytes.Length);
        bytes.CopyTo(room);
        _response.BodyWriter.Advance(bytes.Length);
    }
}
