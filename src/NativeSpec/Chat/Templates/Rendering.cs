using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using NativeSpec.Chat.Templates.Library;
using NativeSpec.Chat.Templates.Syntax;

namespace NativeSpec.Chat.Templates;

/// <summary>One rendering of a template: a walk over its statements, with what it may still spend. A step is an operation; room is characters and
/// elements that were made, whether or not they are still there. Both grow with what is rendered, so that long conversations have
/// enough and a hostile template ends soon.</summary>
internal sealed partial class Rendering
{
    /// <summary>What an element of a list costs in room, in characters.</summary>
    public const int ElementRoom = 16;

    /// <summary>Macros and recursive loops that may be under way inside one another.</summary>
    private const int MaxCalls = 100;

    private const int CharactersAStep = 64;

    private readonly TemplateSource _source;
    private readonly TimeProvider _clock;
    private readonly CancellationToken _cancellation;
    private MarkedText.Builder _output = new();
    private long _steps;
    private long _room;
    private int _calls;
    private int _at; // position in the template

    /// <param name="source">The template.</param>
    /// <param name="dataSize">Characters and elements of the data that it is given.</param>
    /// <param name="clock">What the time is.</param>
    /// <param name="cancellation">Ends it.</param>
    public Rendering(TemplateSource source, long dataSize, TimeProvider clock, CancellationToken cancellation)
    {
        (_source, _clock, _cancellation) = (source, clock, cancellation);
        Equality = new ValueEquality(this);
        _steps = 400_000 + (50 * dataSize);
        _room = 2_000_000 + (20 * dataSize);
    }

    private enum Flow
    {
        Goes,
        Continues,
        Breaks,
    }

    /// <summary>How values are compared, in steps of this rendering.</summary>
    public ValueEquality Equality { get; }

    /// <summary>The time, for strftime_now.</summary>
    public DateTimeOffset Now => _clock.GetLocalNow();

    /// <summary>Renders a template's statements.</summary>
    public MarkedText Run(Statement[] body, Frame frame)
    {
        try
        {
            Execute(body, frame);
        }
        catch (ValueTooDeepException)
        {
            throw OverLimit("values that lie too deep in one another to be compared");
        }

        return _output.Build();
    }

    /// <summary>What cannot be done, at the place where the rendering is.</summary>
    public ChatTemplateException Error(string reason) => _source.Error(ChatTemplateFault.Rendering, reason, _at);

    /// <summary>A limit that is passed, at the place where the rendering is.</summary>
    public ChatTemplateException OverLimit(string what) => _source.Error(ChatTemplateFault.Limit, $"the template asks for {what}", _at);

    /// <summary>raise_exception</summary>
    [DoesNotReturn]
    public void Raise(string message) => throw _source.Error(ChatTemplateFault.Raised, message, _at);

    /// <summary>Counts an operation, and looks whether the stack has room for another: every way into depth goes through here.</summary>
    public void Step()
    {
        if (--_steps < 0)
        {
            throw OverLimit("more steps than such a conversation can need");
        }

        if ((_steps & 0x3ff) == 0)
        {
            _cancellation.ThrowIfCancellationRequested();
        }

        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw OverLimit("more nesting than the stack holds");
        }
    }

    /// <summary>Counts the reading of a text, many characters a step.</summary>
    public void StepOver(int characters)
    {
        _steps -= characters / CharactersAStep;
        Step();
    }

    /// <summary>Counts characters that are about to be made; before they are, so that no template can ask for more memory than that.</summary>
    public void Charge(long room)
    {
        _room = room > _room ? -1 : _room - room;
        if (_room < 0)
        {
            throw OverLimit("more text than such a conversation can need");
        }
    }

    private Flow Execute(Statement[] body, Frame frame)
    {
        foreach (var statement in body)
        {
            var flow = Execute(statement, frame);
            if (flow != Flow.Goes)
            {
                return flow;
            }
        }

        return Flow.Goes;
    }

    private Flow Execute(Statement statement, Frame frame)
    {
        At(statement.Position);
        switch (statement)
        {
            case TextStatement text:
                Print(text.Text);
                return Flow.Goes;
            case PrintStatement print:
                Print(Printing.Text(this, Evaluate(print.Value, frame)));
                return Flow.Goes;
            case IfStatement choice:
                foreach (var (test, body) in choice.Branches)
                {
                    if (Evaluate(test, frame).IsTrue)
                    {
                        return Execute(body, frame);
                    }
                }

                return choice.Else is null ? Flow.Goes : Execute(choice.Else, frame);
            case ForStatement loop:
                Loop(loop, Evaluate(loop.Items, frame), frame, 0);
                return Flow.Goes;
            case SetStatement set:
                Assign(set.Target, Evaluate(set.Value, frame), frame);
                return Flow.Goes;
            case SetBlockStatement set:
                Assign(set.Target, Filtered(set.Filters, new StringValue(Captured(set.Body, new Frame(frame))), frame), frame);
                return Flow.Goes;
            case FilterBlockStatement filter:
                Print(Printing.Text(this, Filtered(filter.Filters, new StringValue(Captured(filter.Body, new Frame(frame))), frame)));
                return Flow.Goes;
            case MacroStatement macro:
                frame.Set(macro.Name, Macro(macro.Name, macro.Signature, macro.Body, frame));
                return Flow.Goes;
            case CallBlockStatement call:
                var caller = Macro("caller", call.Signature, call.Body, frame);
                Print(Printing.Text(this, Call(call.Call, frame, caller)));
                return Flow.Goes;
            case ScopeStatement scope:
                var inner = new Frame(frame);
                foreach (var (target, value) in scope.Values)
                {
                    Assign(target, Evaluate(value, frame), inner);
                }

                return Execute(scope.Body, inner);
            case JumpStatement jump:
                return jump.IsBreak ? Flow.Breaks : Flow.Continues;
            default:
                throw new InvalidOperationException($"a statement {statement.GetType().Name}");
        }
    }

    private void Print(MarkedText text)
    {
        Charge(text.Length);
        _output.Append(text);
    }

    private MarkedText Captured(Statement[] body, Frame frame)
    {
        var outside = _output;
        _output = new MarkedText.Builder();
        Execute(body, frame);
        var text = _output.Build();
        _output = outside;
        return text;
    }

    private void Loop(ForStatement loop, Value over, Frame frame, int depth)
    {
        var items = Items(over);
        if (loop.Test is not null)
        {
            items = [.. items.Where(item =>
            {
                var inner = new Frame(frame);
                Assign(loop.Target, item, inner);
                return Evaluate(loop.Test, inner).IsTrue;
            })];
        }

        var state = new LoopValue(items, depth, loop.IsRecursive ? Recurse : null);
        for (var i = 0; i < items.Length; i++)
        {
            At(loop.Position);
            state.Index = i;
            var inner = new Frame(frame);
            inner.Set("loop", state);
            Assign(loop.Target, items[i], inner);
            if (Execute(loop.Body, inner) == Flow.Breaks)
            {
                break;
            }
        }

        if (items.Length == 0)
        {
            Execute(loop.Else, new Frame(frame));
        }

        Value Recurse(Value values) => Called(() =>
        {
            var outside = _output;
            _output = new MarkedText.Builder();
            Loop(loop, values, frame, depth + 1);
            var text = _output.Build();
            _output = outside;
            return new StringValue(text);
        });
    }

    private void Assign(Target target, Value value, Frame frame)
    {
        switch (target)
        {
            case NameTarget name:
                frame.Set(name.Name, value);
                break;
            case NamespaceTarget place:
                if (frame.Find(place.Name) is not NamespaceValue space)
                {
                    throw Error($"'{place.Name}' is no namespace, so its attribute '{place.Attribute}' cannot be set");
                }

                space.Members[place.Attribute] = value;
                break;
            case TupleTarget tuple:
                var items = Items(value);
                if (items.Length != tuple.Parts.Length)
                {
                    throw Error($"{items.Length} values for {tuple.Parts.Length} variables");
                }

                for (var i = 0; i < items.Length; i++)
                {
                    Assign(tuple.Parts[i], items[i], frame);
                }

                break;
            default:
                throw new InvalidOperationException($"a target {target.GetType().Name}");
        }
    }

    private void At(int position)
    {
        _at = position;
        Step();
    }
}
