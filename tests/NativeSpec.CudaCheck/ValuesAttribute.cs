namespace NativeSpec.Tests;

/// <summary>NUnit's <c>[Values]</c>, which stands nearer to the tests than that: of more than three values the runtime of programs that are compiled ahead of time makes one, a list, when it
/// reads an attribute whose constructor takes any number.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class ValuesAttribute : NUnit.Framework.ValuesAttribute
{
    public ValuesAttribute()
    {
    }

    public ValuesAttribute(object? a)
        : base(a)
    {
    }

    public ValuesAttribute(object? a, object? b)
        : base(a, b)
    {
    }

    public ValuesAttribute(object? a, object? b, object? c)
        : base(a, b, c)
    {
    }

    public ValuesAttribute(object? a, object? b, object? c, object? d)
        : base([a, b, c, d])
    {
    }

    public ValuesAttribute(object? a, object? b, object? c, object? d, object? e)
        : base([a, b, c, d, e])
    {
    }

    public ValuesAttribute(object? a, object? b, object? c, object? d, object? e, object? f)
        : base([a, b, c, d, e, f])
    {
    }

    public ValuesAttribute(object? a, object? b, object? c, object? d, object? e, object? f, object? g)
        : base([a, b, c, d, e, f, g])
    {
    }
}
