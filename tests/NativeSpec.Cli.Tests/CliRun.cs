using System.Text;
using System.Text.Json;

namespace NativeSpec.Cli.Tests;

/// <summary>One command line, run in this process with its three streams in memory.</summary>
internal sealed record CliRun(int Code, string Out, string Error)
{
    public static Task<CliRun> Of(params string[] args) => WithInput("", args);

    public static async Task<CliRun> WithInput(string input, params string[] args)
    {
        using StringWriter output = new(), error = new();
        var terminal = new Terminal
        {
            OpenInput = () => new MemoryStream(Encoding.Latin1.GetBytes(input)), // so that a test can give any bytes
            Out = output,
            Error = error,
            IsOutRedirected = true,
            IsErrorRedirected = true,
        };
        var code = await CommandLine.RunAsync(args, terminal);
        return new CliRun(code, output.ToString(), error.ToString());
    }

    /// <summary>The bytes of UTF-8, as <see cref="WithInput"/> takes its input.</summary>
    public static string Utf8(string text) => Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(text));

    /// <summary>The one object that was printed, after a success.</summary>
    public JsonElement Json()
    {
        Assert.That((Code, Error), Is.EqualTo((0, "")));
        using var document = JsonDocument.Parse(Out);
        return document.RootElement.Clone();
    }
}

internal static class JsonExtensions
{
    public static int[] Ints(this JsonElement json, string field) => [.. json.GetProperty(field).EnumerateArray().Select(value => value.GetInt32())];

    public static string Text(this JsonElement json, string field) => json.GetProperty(field).GetString()!;

    public static double Number(this JsonElement json, string field) => json.GetProperty(field).GetDouble();
}
