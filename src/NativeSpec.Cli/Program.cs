using System.Runtime.InteropServices;
using System.Text;
using NativeSpec.Cli;

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
    Keyboard = Console.IsInputRedirected || Console.IsOutputRedirected
        ? null
        : new Keyboard(() => Console.ReadKey(intercept: true), isKey => Console.TreatControlCAsInput = isKey, () => Console.WindowWidth),
};
using var cancellation = new CancellationTokenSource();
// The first Ctrl+C asks the command, or the part of it that takes it, to end; the one after the command's ends the process.
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal =>
{
    if (terminal.Interrupts.Raise())
    {
        signal.Cancel = true;
        return;
    }

    signal.Cancel = !cancellation.IsCancellationRequested;
    cancellation.Cancel();
});
return await CommandLine.RunAsync(args, terminal, cancellation.Token);
