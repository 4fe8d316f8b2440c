namespace NativeSpec.Backends;

/// <summary>Extents of a weight that is nowhere yet: a plan of such says what a forward takes before anything is loaded.</summary>
internal sealed class WeightShape(int outFeatures, int inFeatures) : BackendWeight(outFeatures, inFeatures)
{
    public override void Dispose()
    {
    }
}

/// <summary>The length of a vector that is nowhere yet.</summary>
internal sealed class VectorShape(long length) : BackendVector(length)
{
    public override void Dispose()
    {
    }
}
