using NativeSpec.Tests;
using NativeSpec.Training.Runs;

namespace NativeSpec.Training.Tests;

/// <summary>Which room of the trainer may use which of its others, and that it knows no project but NativeSpec.</summary>
public sealed class DependencyTests
{
    private const string Own = "NativeSpec.Training";

    private static readonly Dictionary<string, string[]> MayUse = new()
    {
        [Own] = [],
        [$"{Own}.Corpus"] = [Own],
        [$"{Own}.Tokenizers"] = [Own],
        [$"{Own}.Compute"] = [],
        // Text as batches of tokens.
        [$"{Own}.Data"] = [$"{Own}.Corpus"],
        [$"{Own}.Layers"] = [$"{Own}.Compute", $"{Own}.Data"],
        [$"{Own}.Networks"] = [$"{Own}.Compute", $"{Own}.Data", $"{Own}.Layers"],
        [$"{Own}.Optimisation"] = [$"{Own}.Compute", $"{Own}.Layers"],
        [$"{Own}.Runs"] = [Own, $"{Own}.Compute", $"{Own}.Corpus", $"{Own}.Data", $"{Own}.Layers", $"{Own}.Networks", $"{Own}.Optimisation"],
    };

    private static readonly Lazy<Dictionary<string, Dictionary<string, string>>> Uses = new(() => TypeUses.ByNamespace(typeof(TrainingRun).Assembly));

    public static IEnumerable<string> Namespaces => Uses.Value.Keys.Order(StringComparer.Ordinal);

    [TestCaseSource(nameof(Namespaces))]
    public void ANamespace_UsesOnlyWhatTheTableAllows(string name)
    {
        Assert.That(MayUse, Does.ContainKey(name), "a new room needs its line in the table");
        var forbidden = Uses.Value[name].Where(use => use.Key.StartsWith(Own, StringComparison.Ordinal) && !MayUse[name].Contains(use.Key));
        Assert.That(forbidden.Select(use => $"{name} uses {use.Key}: {use.Value}"), Is.Empty);
    }

    [Test]
    public void TheProject_KnowsNoOtherOfOurs()
        => Assert.That(
            typeof(TrainingRun).Assembly.GetReferencedAssemblies().Select(assembly => assembly.Name).Where(name => name!.StartsWith("NativeSpec", StringComparison.Ordinal)),
            Is.EqualTo(new[] { "NativeSpec" }));
}
