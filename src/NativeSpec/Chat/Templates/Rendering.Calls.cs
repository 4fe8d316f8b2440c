using NativeSpec.Chat.Templates.Library;
using NativeSpec.Chat.Templates.Syntax;

namespace NativeSpec.Chat.Templates;

/// <content>Macros.</content>
internal sealed partial class Rendering
{
    private Value Called(Func<Value> call)
    {
        if (++_calls > MaxCalls)
        {
            throw OverLimit($"more than {MaxCalls} calls inside one another");
        }

        Charge(8 * ElementRoom);
        var result = call();
        _calls--;
        return result;
    }

    private FunctionValue Macro(string name, Signature signature, Statement[] body, Frame around) => new(
        name,
        (_, arguments) => Called(() =>
        {
            var frame = new Frame(around);
            BindMacro(name, signature, arguments, frame);
            return new StringValue(Captured(body, frame));
        }),
        "Macro");

    private void BindMacro(string name, Signature signature, CallArguments arguments, Frame frame)
    {
        var names = signature.Names;
        if (arguments.Count > names.Length && !signature.TakesMorePositional)
        {
            throw Error($"the macro '{name}' takes at most {names.Length} arguments; {arguments.Count} are given");
        }

        var more = new DictValue(Equality);
        Dictionary<string, Value> named = new(StringComparer.Ordinal);
        foreach (var argument in arguments.Named)
        {
            var (key, value) = argument;
            if (key == "caller")
            {
                frame.Set(key, value);
            }
            else if (names.Contains(key))
            {
                named[key] = value;
            }
            else if (signature.TakesMoreNamed)
            {
                more.Set(argument.Text, value);
            }
            else
            {
                throw Error($"the macro '{name}' takes no argument '{key}'");
            }
        }

        for (var i = 0; i < names.Length; i++)
        {
            var defaultPlace = i - (names.Length - signature.Defaults.Length);
            if (i < arguments.Count && named.ContainsKey(names[i]))
            {
                throw Error($"the macro '{name}' is given '{names[i]}' twice");
            }

            frame.Set(names[i], i < arguments.Count ? arguments[i]
                : named.TryGetValue(names[i], out var value) ? value
                : defaultPlace >= 0 ? Evaluate(signature.Defaults[defaultPlace], frame)
                : new UndefinedValue($"parameter '{names[i]}' was not provided"));
        }

        if (signature.TakesMorePositional)
        {
            frame.Set("varargs", new ListValue(arguments.Positional.Skip(names.Length).ToArray(), ListKind.Tuple));
        }

        if (signature.TakesMoreNamed)
        {
            frame.Set("kwargs", more);
        }
    }
}
