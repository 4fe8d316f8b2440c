using System.Globalization;
using System.Text;
using System.Text.Json;

namespace NativeSpec.Cli.Benchmarks.Kernels;

/// <summary>What a <see cref="KernelLab"/> measured: for people, as JSON and as CSV.</summary>
internal static class LabReport
{
    /// <summary>Tables, one a backend.</summary>
    public static void Print(KernelLab lab, Terminal terminal)
    {
        terminal.Out.WriteLine($"{lab.Plan.ShapeName} after {lab.Plan.Context} tokens; {string.Join("; ", lab.Environment.Fields.Select(field => $"{field.Name} {field.Value}"))}");
        foreach (var backend in lab.Backends)
        {
            var arithmetic = backend.GFlopPerSecond is { } peak ? string.Create(CultureInfo.InvariantCulture, $", F32 arithmetic {peak.Median:0} GFLOP/s") : "";
            terminal.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{backend.Name}: {backend.Model.Backend.Description}; roofs: {(arithmetic.Length > 0 ? "reading" : "copying")} {backend.ReadGBPerSecond.Median:0.0} GB/s{arithmetic}"));
            Tables.Print(
                terminal, [backend.Name, "nodes", "warm: µs", "GB/s", "GFLOP/s", "of roof", "cold: µs", "GB/s", "GFLOP/s", "of roof"], 1,
                backend.Warm.Zip(backend.Cold).Select(pair => new[] { pair.First.Case.Name, Number(pair.First.Case.Rows) }.Concat(Cells(pair.First)).Concat(Cells(pair.Second)).ToArray()));
        }

        foreach (var (name, reason) in NotMeasured(lab))
        {
            terminal.Out.WriteLine($"{name}: not measured: {reason}");
        }

        terminal.Out.WriteLine("Cold: after so much has been read that no cache holds what is used. Above 1: what a cache held, or packed weights, whose products are of bytes and faster than F32's.");

        static IEnumerable<string> Cells(OperationTime time) =>
            [Number(time.Seconds * 1e6, "0.0"), Number(time.GBPerSecond, "0.0"), Number(time.GFlopPerSecond, "0.0"), Number(time.Fraction, "0.00")];
    }

    /// <summary>One object.</summary>
    public static void Write(KernelLab lab, IReadOnlyDictionary<LabBackend, DeviceKernels> devices, Utf8JsonWriter json)
    {
        json.WriteString("shape", lab.Plan.ShapeName);
        json.WriteNumber("context", lab.Plan.Context);
        json.WriteNumber("repeats", lab.Plan.Repeats);
        json.WriteNumber("bytes_read_before_cold", lab.ReadToEvict);
        json.WriteStartObject("environment");
        foreach (var (name, value) in lab.Environment.Fields)
        {
            json.WriteString(name, value);
        }

        json.WriteEndObject();
        json.WriteStartArray("backends");
        foreach (var backend in lab.Backends)
        {
            json.WriteStartObject();
            json.WriteString("name", backend.Name);
            json.WriteString("description", backend.Model.Backend.Description);
            json.WriteMeasurement("read_gb_per_second", backend.ReadGBPerSecond);
            if (backend.GFlopPerSecond is { } peak)
            {
                json.WriteMeasurement("f32_gflop_per_second", peak);
            }

            json.WriteStartArray("operations");
            foreach (var (warm, cold) in backend.Warm.Zip(backend.Cold))
            {
                json.WriteStartObject();
                json.WriteString("name", warm.Case.Name);
                json.WriteNumber("nodes", warm.Case.Rows);
                Write("warm", warm);
                Write("cold", cold);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartObject("refused");
            foreach (var (operation, reason) in backend.Refused)
            {
                json.WriteString(operation, reason);
            }

            json.WriteEndObject();
            devices.GetValueOrDefault(backend)?.Write(json);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("missing");
        foreach (var (name, reason) in lab.Missing)
        {
            json.WriteStartObject();
            json.WriteString("name", name);
            json.WriteString("reason", reason);
            json.WriteEndObject();
        }

        json.WriteEndArray();

        void Write(string cache, OperationTime time)
        {
            json.WriteStartObject(cache);
            json.WriteMeasured("us", time.Seconds * 1e6);
            json.WriteMeasured("gb_per_second", time.GBPerSecond);
            json.WriteMeasured("gflop_per_second", time.GFlopPerSecond);
            json.WriteMeasured("fraction_of_roof", time.Fraction);
            json.WriteEndObject();
        }
    }

    /// <summary>A line for each operation and cache, with the environment in every line, so that files can be put together; a backend that is not there has a line that says why.</summary>
    public static string Csv(KernelLab lab)
    {
        var fields = lab.Environment.Fields.ToArray();
        var lines = new StringBuilder();
        Line(["backend", "operation", "nodes", "cache", "us", "gb_per_second", "gflop_per_second", "fraction_of_roof", "problem", "shape", "context", .. fields.Select(field => field.Name)]);
        foreach (var backend in lab.Backends)
        {
            foreach (var (cache, times) in new[] { ("warm", backend.Warm), ("cold", backend.Cold) })
            {
                foreach (var time in times)
                {
                    Line([backend.Name, time.Case.Name, Number(time.Case.Rows), cache, Number(time.Seconds * 1e6, "0.###"), Number(time.GBPerSecond, "0.###"), Number(time.GFlopPerSecond, "0.###"),
                        Number(time.Fraction, "0.###"), "", lab.Plan.ShapeName, Number(lab.Plan.Context), .. fields.Select(field => field.Value)]);
                }
            }
        }

        foreach (var (backend, name, reason) in lab.Backends.SelectMany(backend => backend.Refused.Select(one => (backend.Name, one.Key, one.Value))))
        {
            Line([backend, name, "", "", "", "", "", "", reason, lab.Plan.ShapeName, Number(lab.Plan.Context), .. fields.Select(field => field.Value)]);
        }

        foreach (var (name, reason) in lab.Missing)
        {
            Line([name, "", "", "", "", "", "", "", reason, lab.Plan.ShapeName, Number(lab.Plan.Context), .. fields.Select(field => field.Value)]);
        }

        return lines.ToString();

        // RFC 4180: what holds a comma, a quote or a line break stands in quotes, in which quotes are doubled.
        void Line(IEnumerable<string> cells)
            => lines.AppendJoin(',', cells.Select(cell => cell.AsSpan().ContainsAny(",\"\r\n") ? $"\"{cell.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : cell)).Append("\r\n");
    }

    private static IEnumerable<(string Name, string Reason)> NotMeasured(KernelLab lab)
        => lab.Backends.SelectMany(backend => backend.Refused.Select(one => ($"{backend.Name}, {one.Key} alone", one.Value))).Concat(lab.Missing);

    private static string Number(double value, string format = "0") => value.ToString(format, CultureInfo.InvariantCulture);
}
