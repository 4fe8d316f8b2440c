using System.Text.Json.Serialization;
using Microsoft.Extensions.AI;
using NativeSpec.Engine;
using NativeSpec.Extensions.AI;

// A chat service: one engine, loaded while the service starts, behind an address that streams its answers.
var builder = WebApplication.CreateBuilder(args);
builder.Services.AddNativeSpec(); // what the section NativeSpec of the configuration says
builder.Services.AddNativeSpecChatClient().UseFunctionInvocation().UseOpenTelemetry();
builder.Services.AddHealthChecks().AddNativeSpec();
builder.Services.AddProblemDetails();
builder.Services.ConfigureHttpJsonOptions(options => options.SerializerOptions.TypeInfoResolverChain.Insert(0, ServiceJson.Default));

var app = builder.Build();
app.UseExceptionHandler(new ExceptionHandlerOptions
{
    // What is refused before the first character was sent has a status; an answer that breaks off later ends with the connection.
    StatusCodeSelector = error => error switch
    {
        EngineBusyException => StatusCodes.Status429TooManyRequests,
        EngineUnavailableException => StatusCodes.Status503ServiceUnavailable,
        ContextLengthException or ArgumentException or NotSupportedException => StatusCodes.Status400BadRequest,
        BadHttpRequestException bad => bad.StatusCode,
        _ => StatusCodes.Status500InternalServerError,
    },
});
app.MapHealthChecks("/health/ready");
app.MapPost("/chat", async (Turn[] conversation, IChatClient client, HttpResponse response, CancellationToken cancellationToken) =>
{
    var messages = conversation.Select(turn => new ChatMessage(new ChatRole(turn.Role), turn.Text));
    response.ContentType = "text/plain; charset=utf-8";
    await foreach (var update in client.GetStreamingResponseAsync(messages, new() { MaxOutputTokens = 200 }, cancellationToken))
    {
        await response.WriteAsync(update.Text, cancellationToken);
    }
});
app.Run();

/// <summary>A turn of a conversation: who speaks, and what is said.</summary>
internal sealed record Turn(string Role, string Text);

[JsonSerializable(typeof(Turn[]))]
[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web)]
internal sealed partial class ServiceJson : JsonSerializerContext;
