namespace NativeSpec.Model;

/// <summary>How the rows of a tree are to be chosen from. Pulled: by a device for every row before it computes, by the processor when a walk
/// arrives at a row.</summary>
internal interface IRowChoices;
