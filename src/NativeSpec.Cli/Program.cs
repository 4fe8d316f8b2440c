using System.Runtime.InteropServices;
using System.Text;
using NativeSpec.Cli;

using var cancellation = new CancellationTokenSource();
// The first Ctrl+C asks the command to end, the second one ends the process.
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal =>
{
    signal.Cancel = !cancellation.IsCancellationRequested;
    cancellation.Cancel();
});
if (OperatingSystem.IsWindows() && !Console.IsOutputRedirected)
{
    Console.OutputEncoding = Encoding.UTF8; // other systems' consoles take the UTF-8 that is written below
}

using var output = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
var terminal = new Terminal
{
    OpenInput = Console.OpenStandardInput,
    Out = output,
    Error = Console.Error,
    IsOutRedirected = Console.IsOutputRedirected,
    IsErrorRedirected = Console.IsErrorRedirected,
};
return await CommandLine.RunAsync(args, terminal, cancellation.Token);
