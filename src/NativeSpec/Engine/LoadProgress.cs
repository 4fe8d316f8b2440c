namespace NativeSpec.Engine;

/// <summary>What <see cref="InferenceEngine.LoadAsync"/> is doing.</summary>
public enum LoadStage
{
    /// <summary>Reads the configuration and the tokenizer, and finds the weights in their files.</summary>
    Opening,

    /// <summary>Hands the weights to the backend; packs them where 8 or 4 bits are asked for.</summary>
    Weights,

    /// <summary>Opens the drafters' models.</summary>
    Drafters,

    /// <summary>Measures what forwards cost on this machine, unless a profile says it.</summary>
    Measuring,

    /// <summary>The engine is there.</summary>
    Done,
}

/// <summary>How far loading is.</summary>
/// <param name="Stage">What it is doing.</param>
/// <param name="Share">How much of that stage is done, from 0 to 1; only <see cref="LoadStage.Weights"/> says more than 0.</param>
public readonly record struct LoadProgress(LoadStage Stage, double Share);
