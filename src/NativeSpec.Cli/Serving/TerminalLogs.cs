using Microsoft.Extensions.Logging;

namespace NativeSpec.Cli.Serving;

/// <summary>Writes what the server warns of, and what has failed, to standard error: a line each.</summary>
internal sealed class TerminalLogs(Terminal terminal) : ILoggerProvider
{
    public ILogger CreateLogger(string categoryName) => new Lines(terminal);

    public void Dispose()
    {
    }

    private sealed class Lines(Terminal terminal) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
            => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                var line = $"nativespec: {formatter(state, exception)}{(exception is null ? "" : $": {exception.GetType().Name}: {exception.Message.ReplaceLineEndings(" ")}")}";
                lock (terminal.Error)
                {
                    terminal.Error.WriteLine(line);
                }
            }
        }
    }
}
