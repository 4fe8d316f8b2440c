using System.Reflection;
using System.Reflection.Emit;

namespace NativeSpec.Tests;

/// <summary>The types that a type's declarations and method bodies name, found by reflection.</summary>
internal static class TypeUses
{
    private const BindingFlags All = BindingFlags.DeclaredOnly | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static;

    private static readonly Dictionary<int, OpCode> OpCodesByValue = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!)
        .ToDictionary(code => code.Value & 0xFFFF);

    /// <summary>For each namespace of an assembly the other ones of it that are used, with one example each.</summary>
    public static Dictionary<string, Dictionary<string, string>> ByNamespace(Assembly assembly)
    {
        Dictionary<string, Dictionary<string, string>> all = [];
        foreach (var type in assembly.GetTypes().Where(type => type.Namespace?.StartsWith("NativeSpec", StringComparison.Ordinal) == true))
        {
            var uses = all.TryGetValue(type.Namespace!, out var known) ? known : all[type.Namespace!] = [];
            foreach (var (used, where) in Of(type))
            {
                if (used.Assembly == assembly && used.Namespace is { } other && other != type.Namespace && other.StartsWith("NativeSpec", StringComparison.Ordinal))
                {
                    uses.TryAdd(other, $"{used.Name} in {where}");
                }
            }
        }

        return all;
    }

    /// <summary>The types named by a type and by the classes that the compiler nests in it, each with the place.</summary>
    public static IEnumerable<(Type Type, string Where)> Of(Type type)
    {
        var declared = new[] { type.BaseType }.Concat(type.GetInterfaces()).Select(t => (t, type.Name))
            .Concat(type.GetGenericArguments().Where(t => t.IsGenericParameter).SelectMany(t => t.GetGenericParameterConstraints()).Select(t => ((Type?)t, type.Name)))
            .Concat(type.GetFields(All).Select(field => ((Type?)field.FieldType, $"{type.Name}.{field.Name}")))
            .Concat(type.GetMethods(All).Cast<MethodBase>().Concat(type.GetConstructors(All)).SelectMany(method => OfMethod(method).Select(t => (t, $"{type.Name}.{method.Name}"))));
        var here = declared.SelectMany(use => Parts(use.Item1).Select(part => (part, use.Item2)));
        return here.Concat(type.GetNestedTypes(All).SelectMany(Of));
    }

    private static IEnumerable<Type?> OfMethod(MethodBase method)
    {
        var signature = method.GetParameters().Select(parameter => (Type?)parameter.ParameterType).Append((method as MethodInfo)?.ReturnType);
        if (method.IsGenericMethodDefinition)
        {
            signature = signature.Concat(method.GetGenericArguments().SelectMany(t => t.GetGenericParameterConstraints()));
        }

        var body = method.GetMethodBody();
        return body is null ? signature : signature
            .Concat(body.LocalVariables.Select(local => (Type?)local.LocalType))
            .Concat(body.ExceptionHandlingClauses.Where(clause => clause.Flags == ExceptionHandlingClauseOptions.Clause).Select(clause => clause.CatchType))
            .Concat(Tokens(body.GetILAsByteArray()!).SelectMany(token => Resolve(method, token)));
    }

    /// <summary>The metadata tokens in a body: the operands of calls, field accesses, casts and creations.</summary>
    private static IEnumerable<int> Tokens(byte[] il)
    {
        for (var at = 0; at < il.Length;)
        {
            var value = il[at] == 0xFE ? 0xFE00 | il[at + 1] : il[at];
            var code = OpCodesByValue[value];
            at += code.Size;
            switch (code.OperandType)
            {
                case OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineTok or OperandType.InlineType:
                    yield return BitConverter.ToInt32(il, at);
                    at += 4;
                    break;
                case OperandType.InlineSwitch:
                    at += 4 + (4 * BitConverter.ToInt32(il, at));
                    break;
                case OperandType.InlineNone:
                    break;
                default:
                    at += code.OperandType switch
                    {
                        OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                        OperandType.InlineVar => 2,
                        OperandType.InlineI8 or OperandType.InlineR => 8,
                        _ => 4,
                    };
                    break;
            }
        }
    }

    private static IEnumerable<Type?> Resolve(MethodBase method, int token)
    {
        var typeArguments = method.DeclaringType is { IsGenericType: true } type ? type.GetGenericArguments() : null;
        var methodArguments = method.IsGenericMethod ? method.GetGenericArguments() : null;
        var member = method.Module.ResolveMember(token, typeArguments, methodArguments)!;
        yield return member as Type ?? member.DeclaringType;
        foreach (var parameter in (member as MethodBase)?.GetParameters() ?? [])
        {
            yield return parameter.ParameterType;
        }

        switch (member)
        {
            case MethodInfo called:
                yield return called.ReturnType;
                foreach (var argument in called.IsGenericMethod ? called.GetGenericArguments() : [])
                {
                    yield return argument;
                }

                break;
            case FieldInfo field:
                yield return field.FieldType;
                break;
        }
    }

    /// <summary>A type without arrays, pointers and references, and the arguments of a generic one.</summary>
    private static IEnumerable<Type> Parts(Type? type)
    {
        if (type is null || type.IsGenericParameter)
        {
            return [];
        }

        if (type.IsFunctionPointer)
        {
            return type.GetFunctionPointerParameterTypes().Append(type.GetFunctionPointerReturnType()).SelectMany(Parts);
        }

        if (type.HasElementType)
        {
            return Parts(type.GetElementType());
        }

        var self = type.IsGenericType ? type.GetGenericTypeDefinition() : type;
        return type.GetGenericArguments().SelectMany(Parts).Prepend(self);
    }
}
