using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;

namespace NativeSpec.Cli;

/// <summary>Reads the numbers of a command line alike in every country, and the whole of what was typed: a decimal comma is refused, because
/// the platform's own reader drops it, as one between thousands, and takes 0,8 for 8.</summary>
internal static class Numbers
{
    /// <summary>Lets every option of a command and of its subcommands that takes a number take it so.</summary>
    public static void ReadStrictly(Command command)
    {
        foreach (var option in command.Options)
        {
            ReadStrictly(option);
        }

        foreach (var subcommand in command.Subcommands)
        {
            ReadStrictly(subcommand);
        }
    }

    private static void ReadStrictly(Option option)
    {
        switch (option)
        {
            case Option<float> real: real.CustomParser = result => Real<float>(option, result) ?? 0; break;
            case Option<float?> real: real.CustomParser = result => Real<float>(option, result); break;
            case Option<double> real: real.CustomParser = result => Real<double>(option, result) ?? 0; break;
            case Option<double?> real: real.CustomParser = result => Real<double>(option, result); break;
            case Option<int> whole: whole.CustomParser = result => Whole<int>(option, result) ?? 0; break;
            case Option<int?> whole: whole.CustomParser = result => Whole<int>(option, result); break;
            case Option<long> whole: whole.CustomParser = result => Whole<long>(option, result) ?? 0; break;
            case Option<long?> whole: whole.CustomParser = result => Whole<long>(option, result); break;
            case Option<ulong> whole: whole.CustomParser = result => Whole<ulong>(option, result) ?? 0; break;
            case Option<ulong?> whole: whole.CustomParser = result => Whole<ulong>(option, result); break;
            default: break;
        }
    }

    private static T? Real<T>(Option option, ArgumentResult result)
        where T : struct, INumberBase<T> =>
        Read<T>(
            option, result, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent,
            "no number; expected digits, with a decimal point where there is a fraction, such as 0.8");

    private static T? Whole<T>(Option option, ArgumentResult result)
        where T : struct, INumberBase<T>, IMinMaxValue<T> =>
        Read<T>(option, result, NumberStyles.AllowLeadingSign, $"no whole number from {T.MinValue} to {T.MaxValue}");

    private static T? Read<T>(Option option, ArgumentResult result, NumberStyles style, string otherwise)
        where T : struct, INumberBase<T>
    {
        var text = result.Tokens[^1].Value;
        if (T.TryParse(text, style, CultureInfo.InvariantCulture, out var value) && T.IsFinite(value))
        {
            return value;
        }

        result.AddError($"{option.Name}: '{text}' is {otherwise}");
        return null;
    }
}
