using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using NativeSpec.Speculation.Verification;
using NativeSpec.Tokenization;

namespace NativeSpec.Speculation;

/// <summary>Writes what speculation does as JSON lines, one for each round of each request: its tree, who proposed what, what was computed
/// and accepted, and where the time went. docs/speculative-decoding.md explains the fields.</summary>
/// <remarks>Safe for several requests at once; their rounds are told apart by <c>request</c>.</remarks>
public sealed class SpeculationTrace : IDisposable
{
    // Piece texts are for programs and people, not for a web page's source.
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly Lock _lock = new();
    private readonly Stream _output;
    private readonly Tokenizer _tokenizer;
    private readonly ArrayBufferWriter<byte> _line = new();
    private int _requests;

    /// <summary>Makes a trace.</summary>
    /// <param name="output">Where the lines go; disposed with the trace.</param>
    /// <param name="tokenizer">Says what tokens are in text.</param>
    public SpeculationTrace(Stream output, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(tokenizer);
        (_output, _tokenizer) = (output, tokenizer);
    }

    /// <summary>Ends the trace.</summary>
    public void Dispose() => _output.Dispose();

    /// <summary>The number of the next request: 0, 1, …</summary>
    internal int BeginRequest() => Interlocked.Increment(ref _requests) - 1;

    /// <summary>Writes a line.</summary>
    internal void WriteRound(in TracedRound round)
    {
        lock (_lock)
        {
            _line.ResetWrittenCount();
            using (var json = new Utf8JsonWriter(_line, Options))
            {
                Write(json, round);
            }

            _line.Write("\n"u8);
            _output.Write(_line.WrittenSpan);
            _output.Flush();
        }
    }

    private void Write(Utf8JsonWriter json, in TracedRound round)
    {
        var outcome = round.Outcome;
        json.WriteStartObject();
        json.WriteNumber("request", round.Request);
        json.WriteNumber("round", round.Number);
        json.WriteNumber("position", round.Position);
        json.WriteStartArray("nodes");
        for (int node = 0, onPath = 0; node < outcome.Tree.Count; node++)
        {
            var isAccepted = onPath < outcome.AcceptedPath.Length && outcome.AcceptedPath[onPath] == node;
            onPath += isAccepted ? 1 : 0;
            WriteNode(json, round, node, isAccepted);
        }

        json.WriteEndArray();
        json.WriteStartArray("emitted");
        foreach (var token in outcome.Emitted)
        {
            json.WriteNumberValue(token);
        }

        json.WriteEndArray();
        json.WriteStartArray("pieces");
        foreach (var token in outcome.Emitted)
        {
            json.WriteStringValue(Piece(token));
        }

        json.WriteEndArray();
        WriteMilliseconds(json, "draft_ms", round, round.Ticks.Draft);
        WriteMilliseconds(json, "plan_ms", round, round.Ticks.Plan);
        WriteMilliseconds(json, "verify_ms", round, round.Ticks.Verify);
        json.WriteEndObject();
    }

    private void WriteNode(Utf8JsonWriter json, in TracedRound round, int node, bool isAccepted)
    {
        var tree = round.Outcome.Tree;
        json.WriteStartObject();
        json.WriteNumber("token", tree.Token(node));
        json.WriteString("piece", Piece(tree.Token(node)));
        json.WriteNumber("parent", tree.Parent(node));
        json.WriteNumber("depth", tree.Depth(node));
        json.WriteBoolean("probe", tree.IsProbe(node));
        json.WriteBoolean("computed", round.Outcome.WasComputed(node));
        json.WriteBoolean("accepted", isAccepted);
        json.WriteNumber("path_probability", Math.Round(round.Outcome.Planned.PathProbability[node], 6));
        json.WriteStartArray("drafters");
        for (var i = tree.FirstProposal(node); i >= 0; i = tree.ProposalAt(i).Next)
        {
            ref readonly var proposal = ref tree.ProposalAt(i);
            json.WriteStartObject();
            json.WriteString("name", round.Drafters[proposal.Drafter]);
            json.WriteNumber("rank", proposal.Rank);
            json.WriteNumber("confidence", float.IsFinite(proposal.Confidence) ? proposal.Confidence : 0);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteMilliseconds(Utf8JsonWriter json, string name, in TracedRound round, long ticks)
        => json.WriteNumber(name, Math.Round(1e3 * ticks / round.Clock.TimestampFrequency, 4));

    private string Piece(int token) => token < _tokenizer.VocabSize ? _tokenizer.TokenText(token) : "";
}

/// <summary>A round as a trace sees it.</summary>
/// <param name="Request">The request's number in the trace.</param>
/// <param name="Number">The round's number in the request, from 1.</param>
/// <param name="Position">Tokens before the round's first new one, prompt and output.</param>
/// <param name="Outcome">The tree and what became of it.</param>
/// <param name="Drafters">Names of the drafters.</param>
/// <param name="Ticks">The round's times.</param>
/// <param name="Clock">Their unit.</param>
internal readonly record struct TracedRound(
    int Request, int Number, int Position, WalkResult Outcome, string[] Drafters,
    (long Draft, long Plan, long Verify) Ticks, TimeProvider Clock);
