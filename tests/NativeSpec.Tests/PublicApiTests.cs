using System.Reflection;
using System.Runtime.CompilerServices;
using NativeSpec.Engine;

namespace NativeSpec.Tests;

/// <summary>What users may call is what PublicApi.txt says, so that no change of it goes unseen. After a wanted change, run the test once
/// with the environment variable NATIVESPEC_UPDATE_API=1: it writes the file anew, and the difference belongs to the commit.</summary>
public sealed class PublicApiTests
{
    private static readonly NullabilityInfoContext Nullability = new();

    [Test]
    public void PublicSurface_IsThatOfPublicApiTxt()
    {
        var file = Repository.Find("tests", "NativeSpec.Tests", "PublicApi.txt");
        var surface = string.Join('\n', Surface(typeof(InferenceEngine).Assembly)) + "\n";
        if (Environment.GetEnvironmentVariable("NATIVESPEC_UPDATE_API") == "1")
        {
            File.WriteAllText(file, surface);
        }

        Assert.That(surface.Split('\n'), Is.EqualTo(File.ReadAllText(file).ReplaceLineEndings("\n").Split('\n')), "NATIVESPEC_UPDATE_API=1 accepts the change");
    }

    [Test]
    public void Surface_OfAType_ShowsItsMembersAndNoInternals()
    {
        var lines = Surface(typeof(InferenceEngine).Assembly).ToArray();

        Assert.That(lines, Does.Contain("NativeSpec.Engine.InferenceEngine : IDisposable"));
        Assert.That(lines, Does.Contain("    static InferenceEngine Load(String path, EngineOptions? options = null)"));
        Assert.That(lines, Has.None.Contains("Scheduler"));
    }

    private static IEnumerable<string> Surface(Assembly assembly)
    {
        foreach (var type in assembly.GetExportedTypes().OrderBy(type => type.FullName, StringComparer.Ordinal))
        {
            var kind = type.IsEnum ? "enum " : type.IsInterface ? "interface " : type.IsValueType ? "struct " : type.IsAbstract && type.IsSealed ? "static " : "";
            var bases = new[] { type.BaseType }.Where(t => t is not null && t != typeof(object) && t != typeof(ValueType) && t != typeof(Enum))
                .Concat(type.GetInterfaces()).Select(t => Name(t!)).Order(StringComparer.Ordinal).ToArray();
            yield return $"{kind}{type.Namespace}.{Name(type)}{(bases.Length > 0 && !type.IsEnum ? " : " + string.Join(", ", bases) : "")}";
            const BindingFlags Declared = BindingFlags.DeclaredOnly | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static;
            foreach (var line in type.GetMembers(Declared).Select(Describe).OfType<string>().Order(StringComparer.Ordinal))
            {
                yield return "    " + line;
            }
        }
    }

    /// <summary>A member that users see, or null. Members that the compiler writes for every record are left out.</summary>
    private static string? Describe(MemberInfo member)
    {
        if (member.IsDefined(typeof(CompilerGeneratedAttribute)) && member is MethodBase)
        {
            return null;
        }

        return member switch
        {
            FieldInfo field when Visible(field.Attributes) && !field.IsSpecialName =>
                $"{(field.IsLiteral ? "const " : field.IsStatic ? "static " : "")}{Name(field.FieldType)} {field.Name}{(field.IsLiteral ? " = " + field.GetRawConstantValue() : "")}",
            ConstructorInfo constructor when Visible(constructor) => $"{Name(constructor.DeclaringType!)}({Parameters(constructor)})",
            PropertyInfo property when property.GetAccessors(nonPublic: true).Any(Visible) => Describe(property),
            MethodInfo method when Visible(method) && !method.IsSpecialName =>
                $"{(method.IsStatic ? "static " : "")}{Name(method.ReturnType)}{Mark(Nullability.Create(method.ReturnParameter))} {method.Name}{Generics(method)}({Parameters(method)})",
            _ => null,
        };
    }

    private static string? Describe(PropertyInfo property)
    {
        var (get, set) = (property.GetMethod, property.SetMethod);
        if (property.Name == "EqualityContract")
        {
            return null;
        }

        var init = set?.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit)) == true;
        var accessors = $"{(get is not null && Visible(get) ? "get; " : "")}{(set is not null && Visible(set) ? init ? "init; " : "set; " : "")}";
        var modifiers = $"{((get ?? set)!.IsStatic ? "static " : "")}{(property.IsDefined(typeof(RequiredMemberAttribute)) ? "required " : "")}";
        return $"{modifiers}{Name(property.PropertyType)}{Mark(Nullability.Create(property))} {property.Name} {{ {accessors}}}";
    }

    private static bool Visible(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;

    private static bool Visible(FieldAttributes attributes) => (attributes & FieldAttributes.FieldAccessMask) is FieldAttributes.Public or FieldAttributes.Family;

    private static string Parameters(MethodBase method) => string.Join(", ", method.GetParameters().Select(parameter =>
        $"{(parameter.IsOut ? "out " : parameter.IsIn ? "in " : "")}{Name(parameter.ParameterType)}{Mark(Nullability.Create(parameter))} {parameter.Name}{(parameter.HasDefaultValue ? " = " + Default(parameter) : "")}"));

    private static string Mark(NullabilityInfo info) => info.ReadState == NullabilityState.Nullable && !info.Type.IsValueType ? "?" : "";

    private static string Default(ParameterInfo parameter) => parameter.RawDefaultValue switch
    {
        null => parameter.ParameterType.IsValueType ? "default" : "null",
        bool value => value ? "true" : "false",
        var value => Convert.ToString(value, System.Globalization.CultureInfo.InvariantCulture)!,
    };

    private static string Generics(MethodInfo method) => method.IsGenericMethod ? $"<{string.Join(", ", method.GetGenericArguments().Select(Name))}>" : "";

    private static string Name(Type type)
    {
        if (type.IsByRef || type.IsPointer || type.IsArray)
        {
            return Name(type.GetElementType()!) + (type.IsPointer ? "*" : type.IsArray ? "[]" : "");
        }

        var nested = type.IsNested && !type.IsGenericParameter ? Name(type.DeclaringType!) + "." : "";
        var arguments = type.IsGenericType ? $"<{string.Join(", ", type.GetGenericArguments().Select(Name))}>" : "";
        return nested + type.Name.Split('`')[0] + arguments;
    }
}
