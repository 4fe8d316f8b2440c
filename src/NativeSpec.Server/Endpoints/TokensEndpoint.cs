using Microsoft.AspNetCore.Http;
using NativeSpec.Engine;
using NativeSpec.Server.Answers;
using NativeSpec.Server.Errors;
using NativeSpec.Server.Requests;

namespace NativeSpec.Server.Endpoints;

/// <summary><c>POST /tokenize</c> and <c>POST /detokenize</c>, in llama.cpp's shapes. Only <c>parse_special</c> is off where a request says nothing.</summary>
internal sealed class TokensEndpoint(NativeSpecServerOptions options)
{
    private const int MaxTokens = 1 << 20;

    public async Task<int> TokenizeAsync(HttpContext context, InferenceEngine engine)
    {
        using var document = await RequestBody.ReadAsync(context, options.MaxRequestBytes).ConfigureAwait(false);
        var (content, addSpecial, parseSpecial, withPieces) = RequestBody.Read(
            document, body => (body.RequiredText("content"), body.Bool("add_special") ?? false, body.Bool("parse_special") ?? false, body.Bool("with_pieces") ?? false));
        int[] ids;
        try
        {
            ids = engine.Tokenizer.Encode(content, addSpecial, parseSpecial);
        }
        catch (ArgumentException error)
        {
            throw ErrorMapping.OfCall(error, "content");
        }

        if (withPieces)
        {
            await JsonAnswer.WriteAsync(context.Response, new PieceList([.. ids.Select(id => new TokenPiece(id, engine.Tokenizer.TokenText(id)))]), ServerJson.Default.PieceList).ConfigureAwait(false);
        }
        else
        {
            await JsonAnswer.WriteAsync(context.Response, new TokenList(ids), ServerJson.Default.TokenList).ConfigureAwait(false);
        }

        return StatusCodes.Status200OK;
    }

    public async Task<int> DetokenizeAsync(HttpContext context, InferenceEngine engine)
    {
        using var document = await RequestBody.ReadAsync(context, options.MaxRequestBytes).ConfigureAwait(false);
        var ids = RequestBody.Read(document, body => (body.List("tokens", MaxTokens) ?? throw ApiException.Invalid("tokens", "tokens is missing"))
            .Select(token => RequestObject.IntOf(token, 0, engine.Tokenizer.VocabSize - 1)).ToArray());
        await JsonAnswer.WriteAsync(context.Response, new TokenText(engine.Tokenizer.Decode(ids, skipSpecial: false)), ServerJson.Default.TokenText).ConfigureAwait(false);
        return StatusCodes.Status200OK;
    }
}
