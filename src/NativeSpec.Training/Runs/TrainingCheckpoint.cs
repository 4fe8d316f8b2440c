using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;
using NativeSpec.Training.Layers;

namespace NativeSpec.Training.Runs;

/// <summary>All that a run needs to go on as if it had never stopped: every parameter in float32 with its two moments, the step and the loss
/// curve. Which text comes next follows from the step. One safetensors file, which is replaced as a whole: whenever the process is
/// killed, the file is either the old one or the new one.</summary>
internal static class TrainingCheckpoint
{
    /// <summary>The file's name, within the folder of a run's records.</summary>
    public const string FileName = "checkpoint.safetensors";

    private const string StateKey = "nativespec_training";

    /// <summary>Writes a checkpoint.</summary>
    /// <param name="path">The file.</param>
    /// <param name="parameters">What is learnt.</param>
    /// <param name="curve">Its last point says the step.</param>
    /// <param name="recipe">What must be the same for the run to go on: shapes, options, text.</param>
    public static void Write(string path, IReadOnlyList<Parameter> parameters, LossCurve curve, string recipe)
    {
        var state = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(state))
        {
            json.WriteStartObject();
            json.WriteString("recipe", recipe);
            curve.Write(json);
            json.WriteEndObject();
        }

        var tensors = parameters.SelectMany(parameter => new[]
        {
            Tensor(parameter, "value", parameter.Value.All),
            Tensor(parameter, "first_moment", parameter.FirstMoment.Slice(0, (int)parameter.FirstMoment.Length)),
            Tensor(parameter, "second_moment", parameter.SecondMoment.Slice(0, (int)parameter.SecondMoment.Length)),
        });
        SafetensorsWriter.Write(path, tensors, new Dictionary<string, string> { [StateKey] = Encoding.UTF8.GetString(state.WrittenSpan) });
    }

    /// <summary>Reads a checkpoint into the parameters.</summary>
    /// <returns>The loss curve so far.</returns>
    /// <exception cref="ModelFormatException">There is none, it is damaged, or it is of another run.</exception>
    public static LossCurve Read(string path, IReadOnlyList<Parameter> parameters, string recipe)
    {
        using var file = SafetensorsFile.Open(path);
        if (!file.Metadata.TryGetValue(StateKey, out var state))
        {
            throw new ModelFormatException(path, "is a safetensors file without the state of a training run");
        }

        using var json = JsonText.ParseObject(path, Encoding.UTF8.GetBytes(state));
        var fields = new JsonFields(path, json.RootElement);
        if (fields.Text("recipe") is var written && written != recipe)
        {
            throw new ModelFormatException(path, $"is of another run:\n  {written}\nexpected\n  {recipe}\ngive the same options and text, or leave out --resume to begin anew");
        }

        foreach (var parameter in parameters)
        {
            Take(file, parameter, "value", parameter.Value.All);
            Take(file, parameter, "first_moment", parameter.FirstMoment.Slice(0, (int)parameter.FirstMoment.Length));
            Take(file, parameter, "second_moment", parameter.SecondMoment.Slice(0, (int)parameter.SecondMoment.Length));
        }

        return LossCurve.Read(fields.Value("curve") ?? throw fields.Error("curve", "is missing"));
    }

    private static SafetensorsTensor Tensor(Parameter parameter, string what, Span<float> values)
        => SafetensorsTensor.FromBytes($"{parameter.Name}.{what}", DType.F32, [values.Length], MemoryMarshal.AsBytes(values).ToArray());

    private static void Take(SafetensorsFile file, Parameter parameter, string what, Span<float> values)
    {
        var name = $"{parameter.Name}.{what}";
        if (!file.Tensors.TryGetValue(name, out var view) || view.DType != DType.F32 || view.ElementCount != values.Length)
        {
            throw new ModelFormatException(file.Path, $"tensor '{name}' is {view?.ToString() ?? "missing"}; expected F32 [{values.Length}]");
        }

        view.Bytes.CopyTo(MemoryMarshal.AsBytes(values));
    }
}
