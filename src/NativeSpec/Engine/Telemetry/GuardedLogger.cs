using Microsoft.Extensions.Logging;

namespace NativeSpec.Engine.Telemetry;

/// <summary>A logger that may throw, as somebody else's code may, and harms nobody: it is called on the thread that serves all requests. What it throws is dropped, for
/// there is nowhere to log it.</summary>
/// <param name="logger">The logger.</param>
internal sealed class GuardedLogger(ILogger logger) : ILogger
{
    /// <summary>The options with their logger guarded.</summary>
    public static EngineOptions In(EngineOptions options)
        => options.Logger is null or GuardedLogger ? options : options with { Logger = new GuardedLogger(options.Logger) };

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull
        => null; // an engine opens none

    public bool IsEnabled(LogLevel logLevel)
    {
        try
        {
            return logger.IsEnabled(logLevel);
        }
#pragma warning disable CA1031 // A logger may throw anything.
        catch (Exception)
#pragma warning restore CA1031
        {
            return false;
        }
    }

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        try
        {
            logger.Log(logLevel, eventId, state, exception, formatter);
        }
#pragma warning disable CA1031 // A logger may throw anything.
        catch (Exception)
#pragma warning restore CA1031
        {
            // The next line may be written.
        }
    }
}
