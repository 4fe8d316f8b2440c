namespace NativeSpec.Loading;

/// <summary>A checkpoint, configuration or tokenizer file is not what it must be. The message says which file, which part of it,
/// what was expected, what was found and what to do.</summary>
public sealed class ModelFormatException : Exception
{
    /// <summary>Makes the exception with its facts.</summary>
    /// <param name="file">The file or folder that is wrong.</param>
    /// <param name="problem">What was expected and what was found.</param>
    /// <param name="inner">The error underneath, if any.</param>
    public ModelFormatException(string file, string problem, Exception? inner = null)
        : base($"{file}: {problem}", inner)
    {
        File = file;
        Problem = problem;
    }

    /// <summary>The file or folder that is wrong.</summary>
    public string File { get; }

    /// <summary>What was expected and what was found.</summary>
    public string Problem { get; }
}
