using Microsoft.Extensions.Logging;

namespace NativeSpec.Tests.Engine.Telemetry;

/// <summary>Keeps what it is told.</summary>
internal sealed class ListLogger : ILogger
{
    public List<(LogLevel Level, string Text, Exception? Error)> Entries { get; } = [];

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull
        => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (Entries)
        {
            Entries.Add((logLevel, formatter(state, exception), exception));
        }
    }
}
