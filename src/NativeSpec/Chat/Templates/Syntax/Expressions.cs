using NativeSpec.Chat.Templates.Library;

namespace NativeSpec.Chat.Templates.Syntax;

/// <summary>An expression of a template.</summary>
/// <param name="Position">Where it begins in the template.</param>
/// <param name="Depth">How deep the expressions below it are nested, itself counted.</param>
internal abstract record Expression(int Position, int Depth);

/// <summary>A value that is written down.</summary>
internal sealed record ConstantExpression(int Position, Value Value) : Expression(Position, 1);

/// <summary>A variable.</summary>
internal sealed record NameExpression(int Position, string Name) : Expression(Position, 1);

/// <summary>[…] or (…)</summary>
internal sealed record ListExpression(int Position, int Depth, Expression[] Items, ListKind Kind) : Expression(Position, Depth);

/// <summary>{…: …}</summary>
internal sealed record DictExpression(int Position, int Depth, (Expression Key, Expression Value)[] Entries) : Expression(Position, Depth);

/// <summary>x.name or x[index]; a name is looked for among a value's methods first, an index among its elements.</summary>
internal sealed record MemberExpression(int Position, int Depth, Expression Of, Expression Index, bool ByDot) : Expression(Position, Depth);

/// <summary>x[from:to:step]</summary>
internal sealed record SliceExpression(int Position, int Depth, Expression Of, Expression? From, Expression? To, Expression? Step) : Expression(Position, Depth);

/// <summary>f(…)</summary>
internal sealed record CallExpression(int Position, int Depth, Expression Function, ArgumentList Arguments) : Expression(Position, Depth);

/// <summary>x|filter(…); x is null for a filter of a block.</summary>
internal sealed record FilterExpression(int Position, int Depth, Expression? Of, string Name, ArgumentList Arguments) : Expression(Position, Depth);

/// <summary>x is test(…)</summary>
internal sealed record TestExpression(int Position, int Depth, Expression Of, string Name, ArgumentList Arguments) : Expression(Position, Depth);

/// <summary>not x, -x, +x</summary>
internal sealed record UnaryExpression(int Position, int Depth, string Operator, Expression Of) : Expression(Position, Depth);

/// <summary>x and y, x or y, and arithmetic.</summary>
internal sealed record BinaryExpression(int Position, int Depth, string Operator, Expression Left, Expression Right) : Expression(Position, Depth);

/// <summary>a ~ b ~ …</summary>
internal sealed record JoinExpression(int Position, int Depth, Expression[] Parts) : Expression(Position, Depth);

/// <summary>a &lt; b &lt;= c …: each neighbouring pair holds.</summary>
internal sealed record CompareExpression(int Position, int Depth, Expression First, (string Operator, Expression Operand)[] Rest) : Expression(Position, Depth);

/// <summary>a if test else b</summary>
internal sealed record ChoiceExpression(int Position, int Depth, Expression Test, Expression Then, Expression? Else) : Expression(Position, Depth);

/// <summary>What stands in the brackets of a call.</summary>
/// <param name="Positional">By their place.</param>
/// <param name="Named">By their names.</param>
/// <param name="List">*x</param>
/// <param name="Dict">**x</param>
internal sealed record ArgumentList(Expression[] Positional, (string Name, Expression Value)[] Named, Expression? List, Expression? Dict)
{
    public static readonly ArgumentList None = new([], [], null, null);

    /// <summary>How deep its expressions are nested.</summary>
    public int Depth => Positional.Concat(Named.Select(argument => argument.Value)).Append(List).Append(Dict).Max(expression => expression?.Depth ?? 0);
}
