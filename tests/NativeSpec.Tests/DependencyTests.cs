using NativeSpec.Engine;
using NativeSpec.Model;

namespace NativeSpec.Tests;

/// <summary>Which room of the library may use which. The table is the architecture: docs/architecture.md draws it.</summary>
public sealed class DependencyTests
{
    private static readonly Dictionary<string, string[]> MayUse = new()
    {
        ["NativeSpec.Tensors"] = [],
        // Leaves: files, text and numbers. Loading's limits and its exception are the words for bad files, so tokenizers use them too.
        ["NativeSpec.Loading"] = ["NativeSpec.Tensors"],
        ["NativeSpec.Tokenization"] = ["NativeSpec.Loading"],
        ["NativeSpec.Sampling"] = [],
        // Operations on memory; a backend never sees what a token means.
        ["NativeSpec.Backends"] = ["NativeSpec.Tensors"],
        ["NativeSpec.Backends.Cpu"] = ["NativeSpec.Backends", "NativeSpec.Tensors"],
        // The C++ kernels; how many threads there are to compute with is asked of the managed ones.
        ["NativeSpec.Backends.Native"] = ["NativeSpec.Backends", "NativeSpec.Backends.Cpu", "NativeSpec.Tensors"],
        // The forward; it knows no text and no sampling.
        ["NativeSpec.Model"] = ["NativeSpec.Backends", "NativeSpec.Loading", "NativeSpec.Tensors"],
        // Candidates and their acceptance: tokens and numbers, no device and no model.
        ["NativeSpec.Speculation"] = ["NativeSpec.Loading", "NativeSpec.Sampling", "NativeSpec.Tokenization"],
        // Drafters that compute: a draft model and Medusa heads are handed the backend to compute on.
        ["NativeSpec.Speculation.Models"] =
        [
            "NativeSpec.Backends", "NativeSpec.Loading", "NativeSpec.Model", "NativeSpec.Sampling", "NativeSpec.Speculation", "NativeSpec.Tensors", "NativeSpec.Tokenization",
        ],
        ["NativeSpec.Engine"] =
        [
            "NativeSpec.Backends", "NativeSpec.Backends.Cpu", "NativeSpec.Backends.Native", "NativeSpec.Loading", "NativeSpec.Model", "NativeSpec.Sampling",
            "NativeSpec.Speculation", "NativeSpec.Speculation.Models", "NativeSpec.Tensors", "NativeSpec.Tokenization",
        ],
    };

    private static readonly Lazy<Dictionary<string, Dictionary<string, string>>> Uses = new(() => TypeUses.ByNamespace(typeof(InferenceEngine).Assembly));

    public static IEnumerable<string> Namespaces => Uses.Value.Keys.Order(StringComparer.Ordinal);

    [TestCaseSource(nameof(Namespaces))]
    public void ANamespace_UsesOnlyWhatTheTableAllows(string name)
    {
        Assert.That(MayUse, Does.ContainKey(name), "a new room needs its line in the table");
        var forbidden = Uses.Value[name].Where(use => !MayUse[name].Contains(use.Key)).Select(use => $"{name} uses {use.Key}: {use.Value}");
        Assert.That(forbidden, Is.Empty);
    }

    [Test]
    public void TheTable_AllowsNothingThatIsNotUsed()
        => Assert.That(
            MayUse.SelectMany(room => room.Value.Where(other => !Uses.Value[room.Key].ContainsKey(other)).Select(other => $"{room.Key} → {other}")),
            Is.Empty);

    /// <summary>The search itself must be able to find something, in signatures and in bodies alike.</summary>
    [TestCase(typeof(Field), typeof(TokenTree))]
    [TestCase(typeof(Base), typeof(List<TokenTree>))]
    [TestCase(typeof(Parameter), typeof(Forest))]
    [TestCase(typeof(Creation), typeof(Forest))]
    [TestCase(typeof(StaticCall), typeof(KvCache))]
    [TestCase(typeof(GenericCall), typeof(LlamaModel))]
    [TestCase(typeof(Lambda), typeof(KvCache))]
    public void TheSearch_FindsEveryKindOfUse(Type user, Type used)
        => Assert.That(TypeUses.Of(user).Select(use => use.Type), Does.Contain(used.IsGenericType ? used.GetGenericArguments()[0] : used));

    private sealed class Field
    {
        public TokenTree? Tree { get; set; }
    }

    private sealed class Base : List<TokenTree>;

    private sealed class Parameter
    {
        public static int Count(Dictionary<int, Forest[]> forests) => forests.Count;
    }

    private sealed class Creation
    {
        public static int Make() => new Forest(1).Count;
    }

    private sealed class StaticCall
    {
        public static int Pages() => KvCache.PagesFor(3);
    }

    private sealed class GenericCall
    {
        public static int Size() => Array.Empty<LlamaModel>().Length;
    }

    private sealed class Lambda
    {
        public static Func<int> Pages() => () => KvCache.PagesFor(3);
    }
}
