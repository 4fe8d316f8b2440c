namespace NativeSpec.Speculation;

/// <summary>Refuses options that are out of their range.</summary>
internal static class OptionRange
{
    /// <exception cref="ArgumentOutOfRangeException">The value is not in the range; the message names the option and the range.</exception>
    public static void Require(string option, int value, int low, int high)
    {
        if (value < low || value > high)
        {
            throw new ArgumentOutOfRangeException(option, value, $"{option} is {value}; it must be between {low} and {high}");
        }
    }
}
