using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Loading.Medusa;

/// <summary>Tensors of Medusa heads in every layout: hidden 4, vocabulary 6. Weights are numbered, so that a mix-up shows.</summary>
internal static class MedusaTestHeads
{
    public const int Hidden = 4;
    public const int Vocab = 6;

    public static List<SafetensorsTensor> V1(int heads = 3, int layers = 1, string prefix = "", bool hasVocab = true)
    {
        var all = new List<SafetensorsTensor>();
        for (var h = 0; h < heads; h++)
        {
            for (var l = 0; l < layers; l++)
            {
                all.Add(Filled($"{prefix}{h}.{l}.linear.weight", (10 * h) + l, Hidden, Hidden));
                all.Add(Filled($"{prefix}{h}.{l}.linear.bias", 100 + (10 * h) + l, Hidden));
            }

            if (hasVocab)
            {
                all.Add(Filled($"{prefix}{h}.{layers}.weight", 200 + h, Vocab, Hidden));
            }
        }

        return all;
    }

    public static List<SafetensorsTensor> Vllm(int heads = 2, int layers = 1, string prefix = "", int rows = Vocab)
    {
        var all = new List<SafetensorsTensor>();
        for (var h = 0; h < heads; h++)
        {
            for (var l = 0; l < layers; l++)
            {
                all.Add(Filled($"{prefix}blocks.{h}.layers.{l}.weight", (10 * h) + l, Hidden, Hidden));
            }

            all.Add(Filled($"{prefix}lm_heads.{h}.weight", 200 + h, rows, Hidden));
        }

        return all;
    }

    public static SafetensorsTensor Filled(string name, float value, params long[] shape)
    {
        var values = new float[shape.Aggregate(1L, (a, b) => a * b)];
        Array.Fill(values, value);
        return SafetensorsTensor.FromFloats(name, shape, values);
    }

    public static SafetensorsTensor TokenMap(params long[] tokens) =>
        SafetensorsTensor.FromBytes("token_map", DType.I64, [tokens.Length], tokens.SelectMany(BitConverter.GetBytes).ToArray());

    public static unsafe float First(TensorView? view) => *(float*)view!.Data;
}
