using System.Globalization;

namespace NativeSpec.Cli.Benchmarks.Load;

/// <summary>Prints what a load has found, draws it where that is wanted, and says whether it was as it has to be: every text the one that was written alone, no error.</summary>
/// <param name="terminal">Where to print.</param>
/// <param name="model">The model's name.</param>
/// <param name="scenario">What was measured.</param>
/// <param name="json">Whether to print JSON.</param>
/// <param name="svg">The picture's file, if there is to be one.</param>
internal sealed class LoadReport(Terminal terminal, string model, string scenario, bool json, string? svg)
{
    /// <summary>What was measured.</summary>
    public string Scenario => scenario;

    /// <summary>What computed.</summary>
    public string Backend { get; set; } = "";

    /// <summary>Reports the numbers of callers of a mix; returns the command's exit code.</summary>
    public int Finish(IReadOnlyList<LoadResult> results)
    {
        if (json)
        {
            JsonOutput.Print(terminal.Out, writer =>
            {
                writer.WriteString("model", model);
                writer.WriteString("backend", Backend);
                writer.WriteString("scenario", scenario);
                writer.WriteStartArray("callers");
                foreach (var result in results)
                {
                    result.Write(writer);
                }

                writer.WriteEndArray();
            });
        }
        else
        {
            terminal.Out.WriteLine($"{model}, {Backend}");
            Tables.Print(
                terminal,
                ["callers", "tokens/s", "short: first token p50", "p99 ms", "long: first token p50", "p99 ms", "between tokens p50", "p99 ms", "processors", "managed after", "resident after", "cancelled", "errors", "other texts"],
                0,
                results.Select(Row));
        }

        Draw(() => LoadSvg.Render($"{model}: callers at once", Panels(results)));
        var errors = results.SelectMany(result => result.Errors).Select(error => $"{error.Value} × {error.Key}");
        return Verdict(results.Sum(result => result.Different), [.. errors]);
    }

    /// <summary>Reports a scenario; returns the command's exit code.</summary>
    public int Finish(ScenarioResult result)
    {
        if (json)
        {
            JsonOutput.Print(terminal.Out, writer =>
            {
                writer.WriteString("model", model);
                writer.WriteString("backend", Backend);
                writer.WriteString("scenario", scenario);
                result.Write(writer);
            });
        }
        else
        {
            terminal.Out.WriteLine($"{model}, {Backend}: {scenario}");
            Tables.Print(terminal, ["", "", ""], 1, result.Figures.Select(figure => new[] { figure.Name.Replace('_', ' '), Number(figure.Value), figure.Unit })
                .Append(["texts as written alone", Number(result.Compared - result.Different), $"of {result.Compared}"]));
        }

        Draw(() => LoadSvg.Render($"{model}: {scenario}", result.Panels));
        return Verdict(result.Different, [.. result.Errors.GroupBy(error => error).Select(group => $"{group.Count()} × {group.Key}")]);
    }

    private static string[] Row(LoadResult result)
    {
        Percentiles first = result.First(LoadKind.Short, LoadKind.Slow, LoadKind.Cancel), longFirst = result.First(LoadKind.Long), gaps = result.Gaps;
        return
        [
            Number(result.Callers), Number(result.TokensPerSecond), Number(first.P50), Number(first.P99), Number(longFirst.P50), Number(longFirst.P99), Number(gaps.P50), Number(gaps.P99),
            Number(result.Processors), Tables.Bytes(result.After.Managed), Tables.Bytes(result.After.Resident),
            Number(result.Samples.Count(sample => sample.Left)), Number(result.Errors.Values.Sum()), Number(result.Different),
        ];
    }

    private static LoadPanel[] Panels(IReadOnlyList<LoadResult> results)
    {
        string[] groups = [.. results.Select(result => result.Callers.ToString(CultureInfo.InvariantCulture))];
        return
        [
            new("Tokens per second, all callers together", groups, [("tokens/s", Of(result => result.TokensPerSecond))]),
            new("To the first token, ms", groups,
            [
                ("short, p50", Of(result => result.First(LoadKind.Short, LoadKind.Slow, LoadKind.Cancel).P50)),
                ("short, p99", Of(result => result.First(LoadKind.Short, LoadKind.Slow, LoadKind.Cancel).P99)),
                ("long, p50", Of(result => result.First(LoadKind.Long).P50)),
                ("long, p99", Of(result => result.First(LoadKind.Long).P99)),
            ]),
            new("Between tokens, ms", groups, [("p50", Of(result => result.Gaps.P50)), ("p99", Of(result => result.Gaps.P99))]),
        ];

        double[] Of(Func<LoadResult, double> value) => [.. results.Select(value)];
    }

    private static string Number(double value)
        => !double.IsFinite(value) ? "–" : value.ToString(value == Math.Floor(value) || Math.Abs(value) >= 1000 ? "0" : "0.00", CultureInfo.InvariantCulture);

    private void Draw(Func<string> render)
    {
        if (svg is not null)
        {
            File.WriteAllText(svg, render());
        }
    }

    private int Verdict(int different, IReadOnlyList<string> errors)
    {
        if (different > 0)
        {
            terminal.Error.WriteLine($"nativespec: {different} texts are others than those written alone");
        }

        if (errors.Count > 0)
        {
            terminal.Error.WriteLine($"nativespec: requests failed: {string.Join(", ", errors)}");
        }

        return different > 0 || errors.Count > 0 ? CommandLine.Failure : CommandLine.Success;
    }
}
