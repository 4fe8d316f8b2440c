using NativeSpec.Benchmarks.LLamaSharp;
using NativeSpec.Cli;

if (args is [Contestant.Option, var engine, var race])
{
    return await Contestant.MainAsync(engine, race);
}

var terminal = new Terminal
{
    OpenInput = Console.OpenStandardInput,
    Out = Console.Out,
    Error = Console.Error,
    IsOutRedirected = Console.IsOutputRedirected,
    IsErrorRedirected = Console.IsErrorRedirected,
};
try
{
    return await new DuelCommand(terminal).Parse(args).InvokeAsync(new() { EnableDefaultExceptionHandler = false });
}
catch (Exception error) when (error is UsageException or InvalidOperationException or IOException)
{
    Console.Error.WriteLine(error.Message);
    return error is UsageException ? 2 : 1;
}
