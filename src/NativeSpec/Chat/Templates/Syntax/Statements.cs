namespace NativeSpec.Chat.Templates.Syntax;

/// <summary>A statement of a template.</summary>
/// <param name="Position">Where it begins in the template.</param>
internal abstract record Statement(int Position);

/// <summary>Text between tags.</summary>
internal sealed record TextStatement(int Position, MarkedText Text) : Statement(Position);

/// <summary>{{ x }}</summary>
internal sealed record PrintStatement(int Position, Expression Value) : Statement(Position);

/// <summary>if, its elifs and its else, which is null where there is none.</summary>
internal sealed record IfStatement(int Position, (Expression Test, Statement[] Body)[] Branches, Statement[]? Else) : Statement(Position);

/// <summary>for target in items if test</summary>
internal sealed record ForStatement(int Position, Target Target, Expression Items, Expression? Test, bool IsRecursive, Statement[] Body, Statement[] Else) : Statement(Position);

/// <summary>set target = value</summary>
internal sealed record SetStatement(int Position, Target Target, Expression Value) : Statement(Position);

/// <summary>set target … endset, with filters</summary>
internal sealed record SetBlockStatement(int Position, Target Target, FilterExpression[] Filters, Statement[] Body) : Statement(Position);

/// <summary>filter … endfilter</summary>
internal sealed record FilterBlockStatement(int Position, FilterExpression[] Filters, Statement[] Body) : Statement(Position);

/// <summary>macro name(…) … endmacro</summary>
internal sealed record MacroStatement(int Position, string Name, Signature Signature, Statement[] Body) : Statement(Position);

/// <summary>call(…) macro(…) … endcall</summary>
internal sealed record CallBlockStatement(int Position, Signature Signature, CallExpression Call, Statement[] Body) : Statement(Position);

/// <summary>with a = x … endwith; generation … endgeneration sets nothing.</summary>
internal sealed record ScopeStatement(int Position, (Target Target, Expression Value)[] Values, Statement[] Body) : Statement(Position);

/// <summary>break or continue</summary>
internal sealed record JumpStatement(int Position, bool IsBreak) : Statement(Position);

/// <summary>What a value is assigned to.</summary>
internal abstract record Target(int Position);

/// <summary>A variable.</summary>
internal sealed record NameTarget(int Position, string Name) : Target(Position);

/// <summary>An attribute of a namespace.</summary>
internal sealed record NamespaceTarget(int Position, string Name, string Attribute) : Target(Position);

/// <summary>Several, for the elements of a value.</summary>
internal sealed record TupleTarget(int Position, Target[] Parts) : Target(Position);

/// <summary>The parameters of a macro.</summary>
/// <param name="Names">Their names.</param>
/// <param name="Defaults">The defaults of the last of them.</param>
internal sealed record Signature(string[] Names, Expression[] Defaults)
{
    /// <summary>The body reads the positional arguments that no parameter takes.</summary>
    public bool TakesMorePositional { get; init; }

    /// <summary>The body reads the named arguments that no parameter takes.</summary>
    public bool TakesMoreNamed { get; init; }
}
