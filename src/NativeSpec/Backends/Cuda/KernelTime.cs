namespace NativeSpec.Backends.Cuda;

/// <summary>What the launches of one kernel in a forward take, one at a time, by the device's own events.</summary>
/// <param name="Name">The kernel.</param>
/// <param name="Launches">How often a forward launches it.</param>
/// <param name="Seconds">All of these together.</param>
/// <param name="WeightBytes">Weights that they read; 0 where it reads none.</param>
internal readonly record struct KernelTime(string Name, int Launches, double Seconds, long WeightBytes);
