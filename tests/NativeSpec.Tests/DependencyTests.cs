using NativeSpec.Engine;
using NativeSpec.Model;

namespace NativeSpec.Tests;

/// <summary>Which room of the library may use which. The table is the architecture: docs/architecture.md draws it.</summary>
public sealed class DependencyTests
{
    /// <summary>A room that has no line of its own belongs to the one around it: the rooms of Loading and of Tokenization are one idea each,
    /// and may use each other.</summary>
    private static readonly Dictionary<string, string[]> MayUse = new()
    {
        ["Tensors"] = [],
        // Leaves: files, text and numbers. Loading's limits and its exception are the words for bad files, so tokenizers use them too.
        ["Loading"] = ["Tensors"],
        ["Tokenization"] = ["Loading"],
        ["Sampling"] = [],
        // Conversations as text; a template reaches nothing but its own values.
        ["Chat"] = ["Loading", "Tokenization"],
        // Operations on memory; a backend never sees what a token means.
        ["Backends"] = ["Tensors"],
        ["Backends.Cpu"] = ["Backends", "Tensors"],
        // The C++ kernels; how many threads there are to compute with is asked of the managed ones.
        ["Backends.Native"] = ["Backends", "Backends.Cpu", "Tensors"],
        // The driver of a device and the kernels' launches; weights that are packed while they are loaded are packed by the native kernels.
        ["Backends.Cuda"] = ["Backends", "Backends.Native", "Tensors"],
        // The forward, and what its rows can be asked; it knows no text.
        ["Model"] = ["Backends", "Loading", "Sampling", "Tensors"],
        // The face, and the rooms of candidates and their acceptance: tokens and numbers, no device and no model.
        ["Speculation"] = ["Sampling", "Speculation.DraftModels", "Speculation.Planning", "Speculation.Verification", "Tokenization"],
        ["Speculation.Planning"] = ["Speculation", "Speculation.Rounds"],
        ["Speculation.Verification"] = ["Model", "Sampling", "Speculation"],
        ["Speculation.PromptLookup"] = ["Speculation"],
        ["Speculation.Lookahead"] = ["Sampling", "Speculation"],
        ["Speculation.Recycling"] = ["Speculation"],
        ["Speculation.TreeLayouts"] = ["Loading"],
        // Drafters that compute: a draft model and Medusa heads are handed the backend to compute on.
        ["Speculation.DraftModels"] =
        [
            "Backends", "Loading", "Model", "Sampling", "Speculation", "Speculation.Planning", "Speculation.Verification", "Tokenization",
        ],
        ["Speculation.Medusa"] = ["Backends", "Loading", "Model", "Speculation", "Speculation.Planning", "Speculation.TreeLayouts", "Tensors"],
        ["Speculation.Rounds"] = ["Sampling", "Speculation", "Speculation.Planning", "Speculation.Verification"],
        // What an engine tells those who watch it: numbers, and no say in anything.
        ["Engine.Telemetry"] = ["Engine", "Engine.Requests", "Engine.Rounds", "Sampling", "Speculation.Rounds"],
        // One request's text, from its prompt to its last piece; it knows neither its neighbours nor who serves it.
        ["Engine.Requests"] =
        [
            "Backends", "Engine", "Engine.Telemetry", "Model", "Sampling", "Speculation", "Speculation.Rounds", "Speculation.Verification", "Tokenization",
        ],
        // What is computed at once, and how much of each request.
        ["Engine.Rounds"] = ["Engine.Requests", "Model", "Speculation", "Speculation.Planning", "Speculation.Rounds", "Speculation.Verification"],
        // Who is let in, served and shown out.
        ["Engine.Scheduling"] = ["Backends", "Engine", "Engine.Requests", "Engine.Rounds", "Engine.Telemetry", "Model", "Speculation.Rounds"],
        // From options and a folder to the parts of an engine.
        ["Engine.Building"] =
        [
            "Backends", "Backends.Cpu", "Backends.Cuda", "Backends.Native", "Engine", "Loading", "Model", "Speculation", "Speculation.DraftModels", "Speculation.Lookahead",
            "Speculation.Medusa", "Speculation.PromptLookup", "Speculation.Recycling", "Tensors", "Tokenization",
        ],
        // The face, and what is known of machines.
        ["Engine"] =
        [
            "Backends", "Backends.Native", "Chat", "Engine.Building", "Engine.Requests", "Engine.Scheduling", "Engine.Telemetry", "Loading", "Model", "Sampling", "Speculation",
            "Speculation.DraftModels", "Speculation.Lookahead", "Speculation.Medusa", "Speculation.Planning", "Speculation.PromptLookup", "Speculation.Rounds",
            "Speculation.Verification", "Tensors", "Tokenization",
        ],
    };

    private static readonly Lazy<Dictionary<string, Dictionary<string, string>>> Uses = new(FindUses);

    public static IEnumerable<string> Rooms => Uses.Value.Keys.Order(StringComparer.Ordinal);

    [TestCaseSource(nameof(Rooms))]
    public void ARoom_UsesOnlyWhatTheTableAllows(string room)
    {
        Assert.That(MayUse, Does.ContainKey(room), "a new room needs its line in the table");
        var forbidden = Uses.Value[room].Where(use => !MayUse[room].Contains(use.Key)).Select(use => $"{room} uses {use.Key}: {use.Value}");
        Assert.That(forbidden, Is.Empty);
    }

    [Test]
    public void TheTable_AllowsNothingThatIsNotUsed()
        => Assert.That(
            MayUse.SelectMany(room => room.Value.Where(other => !Uses.Value[room.Key].ContainsKey(other)).Select(other => $"{room.Key} → {other}")),
            Is.Empty);

    /// <summary>[room][room it uses] an example.</summary>
    private static Dictionary<string, Dictionary<string, string>> FindUses()
    {
        Dictionary<string, Dictionary<string, string>> uses = [];
        foreach (var (name, used) in TypeUses.ByNamespace(typeof(InferenceEngine).Assembly))
        {
            var room = RoomOf(name);
            uses.TryAdd(room, []);
            foreach (var (other, example) in used.Where(use => RoomOf(use.Key) != room))
            {
                uses[room].TryAdd(RoomOf(other), example);
            }
        }

        return uses;
    }

    private static string RoomOf(string name)
    {
        var room = name["NativeSpec.".Length..];
        return MayUse.ContainsKey(room) || !room.Contains('.') ? room : RoomOf(name[..name.LastIndexOf('.')]);
    }

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
