using System.Buffers;
using System.Text;
using NativeSpec.Tokenization;

namespace NativeSpec.Engine.Requests;

/// <summary>From tokens to text that may be shown: whole characters only, and nothing that may yet become a stop string. Allocates nothing
/// until text is taken out.</summary>
/// <param name="tokenizer">Whose tokens they are.</param>
/// <param name="stops">The stop strings.</param>
/// <param name="shown">Control tokens that have a text.</param>
internal sealed class TextStream(Tokenizer tokenizer, IReadOnlyList<string> stops, IReadOnlyList<int> shown)
{
    private readonly StreamingDetokenizer _detokenizer = tokenizer.CreateDetokenizer();
    private readonly StopMatcher _matcher = new(stops);
    private readonly ArrayBufferWriter<byte> _decoded = new(256);
    private readonly ArrayBufferWriter<byte> _released = new(256);

    /// <summary>The stop string that has appeared, if one has. The text before it is released, the rest is not.</summary>
    public string? Stop => _matcher.FoundStop < 0 ? null : stops[_matcher.FoundStop];

    /// <summary>Adds a token. A model's vocabulary may be padded past its tokenizer's; such ids have no text.</summary>
    public void Append(int id)
    {
        _decoded.ResetWrittenCount();
        if (id < tokenizer.VocabSize)
        {
            _detokenizer.Append(id, shown.Contains(id), _decoded);
        }

        _released.Write(_matcher.Append(_decoded.WrittenSpan));
    }

    /// <summary>Ends the text: what was held back is released, half a character as U+FFFD.</summary>
    public void Finish()
    {
        if (_matcher.FoundStop >= 0)
        {
            return;
        }

        _decoded.ResetWrittenCount();
        _detokenizer.Flush(_decoded);
        _released.Write(_matcher.Append(_decoded.WrittenSpan));
        if (_matcher.FoundStop < 0)
        {
            _released.Write(_matcher.Flush());
        }
    }

    /// <summary>What was released since the last call.</summary>
    public string Take()
    {
        if (_released.WrittenCount == 0)
        {
            return "";
        }

        var text = Encoding.UTF8.GetString(_released.WrittenSpan);
        _released.ResetWrittenCount();
        return text;
    }
}
