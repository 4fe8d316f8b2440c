using Microsoft.AspNetCore.Http;
using NativeSpec.Engine;
using NativeSpec.Server.Answers;

namespace NativeSpec.Server.Endpoints;

/// <summary><c>GET /v1/models</c> and <c>GET /v1/models/{id}</c>.</summary>
internal sealed class ModelsEndpoint(ServedModel model)
{
    public async Task<int> ListAsync(HttpContext context, InferenceEngine engine)
    {
        await JsonAnswer.WriteAsync(context.Response, new ModelList([Card(engine)]), ServerJson.Default.ModelList).ConfigureAwait(false);
        return StatusCodes.Status200OK;
    }

    public async Task<int> OneAsync(HttpContext context, InferenceEngine engine)
    {
        var card = Card(engine);
        if (context.Request.RouteValues["id"] is not string asked || asked != card.Id)
        {
            throw ServedModel.NotFound(context.Request.RouteValues["id"] as string ?? "", card.Id);
        }

        await JsonAnswer.WriteAsync(context.Response, card, ServerJson.Default.ModelCard).ConfigureAwait(false);
        return StatusCodes.Status200OK;
    }

    private ModelCard Card(InferenceEngine engine) => new(model.IdOf(engine), model.Since, engine.MaxContext);
}
