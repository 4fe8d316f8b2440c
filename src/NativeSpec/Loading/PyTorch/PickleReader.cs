namespace NativeSpec.Loading.PyTorch;

/// <summary>Interprets the pickle of a state dict, and nothing else. A pickle is a program for a stack machine that can call whatever it
/// names; this machine knows the instructions and the thirteen names of <see cref="PickledName"/> that <c>torch.save</c> uses for tensors,
/// and answers each name with code of its own. So no file can make it run anything: whatever else a file asks for is refused, with the
/// byte where it asks.</summary>
internal sealed class PickleReader
{
    // Every instruction costs a byte, so the file's size bounds the work; these bound what one byte can hold on to. PyTorch sets a
    // dict's items a thousand at a time and notes nine objects per tensor.
    private const int StackPerTensor = 4;
    private const int MemoPerTensor = 32;
    private const int Spare = 4096;

    private readonly PickleProgram _program;
    private readonly LoadLimits _limits;
    private readonly List<object> _stack = [];
    private readonly Stack<int> _marks = [];
    private readonly Dictionary<uint, object> _memo = [];

    private PickleReader(string file, byte[] pickle, LoadLimits limits) => (_program, _limits) = (new PickleProgram(file, pickle, limits), limits);

    /// <summary>Runs the program.</summary>
    /// <param name="file">The file, for messages.</param>
    /// <param name="pickle">The program.</param>
    /// <param name="limits">What it may ask for.</param>
    /// <returns>The object that it leaves: one of the values of PickleValues.cs, a string, long, bool or object[] (a tuple).</returns>
    /// <exception cref="ModelFormatException">It is not a program that builds a state dict.</exception>
    public static object Read(string file, byte[] pickle, LoadLimits limits) => new PickleReader(file, pickle, limits).Run();

    private object Run()
    {
        if (_program.NextOpcode() != PickleOpcodes.Proto || _program.Byte() is < 2 or > 5)
        {
            throw Error("a pickle of protocol 2 to 5 begins with PROTO (0x80) and its number");
        }

        for (var opcode = _program.NextOpcode(); opcode != PickleOpcodes.Stop; opcode = _program.NextOpcode())
        {
            Execute(opcode);
        }

        if (_stack.Count != 1 || _marks.Count != 0 || _program.Left != 0)
        {
            throw Error($"STOP leaves {_stack.Count} objects, {_marks.Count} marks and {_program.Left} bytes; expected one object and "
                + "nothing else");
        }

        return _stack[0];
    }

    private void Execute(byte opcode)
    {
        switch (opcode)
        {
            case PickleOpcodes.Frame:
                _program.Frame();
                break;
            case PickleOpcodes.Mark:
                Limit(_marks.Count, "marks");
                _marks.Push(_stack.Count);
                break;
            case PickleOpcodes.EmptyDict:
                Push(new PickledDict(IsOrdered: false));
                break;
            case PickleOpcodes.EmptyTuple:
                Push(Array.Empty<object>());
                break;
            case PickleOpcodes.Tuple:
                Push(PopToMark());
                break;
            case PickleOpcodes.Tuple1 or PickleOpcodes.Tuple2 or PickleOpcodes.Tuple3:
                Push(Pop(opcode - PickleOpcodes.Tuple1 + 1));
                break;
            case PickleOpcodes.BinUnicode:
                Push(_program.Text(_program.UInt32()));
                break;
            case PickleOpcodes.ShortBinUnicode:
                Push(_program.Text(_program.Byte()));
                break;
            case PickleOpcodes.BinInt:
                Push((long)(int)_program.UInt32());
                break;
            case PickleOpcodes.BinInt1:
                Push((long)_program.Byte());
                break;
            case PickleOpcodes.BinInt2:
                Push((long)_program.UInt16());
                break;
            case PickleOpcodes.Long1:
                Push(_program.Integer(_program.Byte()));
                break;
            case PickleOpcodes.None:
                Push(PickledNone.Value);
                break;
            case PickleOpcodes.NewTrue or PickleOpcodes.NewFalse:
                Push(opcode == PickleOpcodes.NewTrue);
                break;
            case PickleOpcodes.BinPut:
                Note(_program.Byte());
                break;
            case PickleOpcodes.LongBinPut:
                Note(_program.UInt32());
                break;
            case PickleOpcodes.Memoize:
                Note((uint)_memo.Count);
                break;
            case PickleOpcodes.BinGet:
                Recall(_program.Byte());
                break;
            case PickleOpcodes.LongBinGet:
                Recall(_program.UInt32());
                break;
            case PickleOpcodes.Global:
                Push(Name(_program.Line(), _program.Line()));
                break;
            case PickleOpcodes.StackGlobal:
                var names = Pop(2);
                Push(names is [string module, string name] ? Name(module, name) : throw Error("STACK_GLOBAL wants two strings"));
                break;
            case PickleOpcodes.BinPersId:
                Push(Storage(Pop(1)[0]));
                break;
            case PickleOpcodes.Reduce:
                var call = Pop(2);
                Push(Call(call[0], call[1]));
                break;
            case PickleOpcodes.SetItem:
                SetItems(Pop(2));
                break;
            case PickleOpcodes.SetItems:
                SetItems(PopToMark());
                break;
            case PickleOpcodes.Build:
                Build(Pop(1)[0]);
                break;
            default:
                throw Error($"instruction {PickleOpcodes.Describe(opcode)} is not one that a state dict needs; it is not interpreted");
        }
    }

    private void Note(uint index)
    {
        if (_stack.Count == 0 || !_memo.TryAdd(index, _stack[^1]))
        {
            throw Error(_stack.Count == 0 ? "nothing is on the stack to be noted in the memo" : $"memo entry {index} is set twice");
        }

        if (_memo.Count > (MemoPerTensor * (long)_limits.MaxTensors) + Spare)
        {
            throw Error($"more than {_memo.Count - 1} objects in the memo (raise LoadLimits.MaxTensors if the file is right)");
        }
    }

    private void Recall(uint index) =>
        Push(_memo.TryGetValue(index, out var value) ? value : throw Error($"memo entry {index} is used but not set"));

    private PickledName Name(string module, string name) => PickledName.Find(module, name)
        ?? throw Error($"names {MessageText.Quote($"{module}.{name}")}; a state dict holds tensors only, and nothing else is "
            + "built from a file");

    // What torch.save says of a storage: ('storage', its type, its key in the archive, the device it was on, its elements).
    private PickledStorage Storage(object id) =>
        id is object[] and ["storage", PickledName { IsStorage: true } type, string key, string, long elements and >= 0]
            ? new PickledStorage(key, type.Storage, elements)
            : throw Error($"a persistent id that is {PickledValues.Describe(id)}; expected ('storage', a storage type, key, device, "
                + "number of elements)");

    private object Call(object function, object arguments)
    {
        if (function is PickledName name && arguments is object[] values)
        {
            if (name == PickledName.OrderedDict && values.Length == 0)
            {
                return new PickledDict(IsOrdered: true);
            }

            if (name == PickledName.RebuildTensor)
            {
                return Tensor(values);
            }

            if (name == PickledName.RebuildParameter && values is [PickledTensor data, bool, PickledDict { Items.Count: 0 }])
            {
                return data;
            }
        }

        throw Error($"REDUCE calls {PickledValues.Describe(function)} with {PickledValues.Describe(arguments)}, which a state "
            + "dict does not");
    }

    // (storage, offset, shape, strides, requires_grad, no hooks[, no metadata]); metadata would be a pending negation or conjugation.
    private PickledTensor Tensor(object[] values)
    {
        if (values is
                [PickledStorage storage, long offset and >= 0, object[] shape, object[] strides, bool, PickledDict { Items.Count: 0 }, .. var rest]
            && rest is [] or [PickledNone] or [PickledDict { Items.Count: 0 }]
            && shape.Length == strides.Length && shape.Length <= _limits.MaxRank
            && shape.All(extent => extent is long and >= 0) && strides.All(stride => stride is long and >= 0))
        {
            return new PickledTensor(storage, offset, Array.ConvertAll(shape, v => (long)v), Array.ConvertAll(strides, v => (long)v));
        }

        throw Error("_rebuild_tensor_v2 wants (storage, offset, shape, strides, requires_grad, empty hooks), with no negative number "
            + $"and at most {_limits.MaxRank} extents; found ({string.Join(", ", values.Take(8).Select(PickledValues.Describe))})");
    }

    private void SetItems(object[] items)
    {
        if (_stack.Count <= Floor || _stack[^1] is not PickledDict dict || items.Length % 2 != 0)
        {
            throw Error($"{items.Length} keys and values have no dict to be set in");
        }

        for (var i = 0; i < items.Length; i += 2)
        {
            if (items[i] is not string key)
            {
                throw Error($"a key that is {PickledValues.Describe(items[i])}; expected a string");
            }

            if (!dict.Keys.Add(key))
            {
                throw Error($"key {MessageText.Quote(key)} is set twice");
            }

            dict.Items.Add(new(key, items[i + 1]));
        }
    }

    // Modules leave their version numbers as an attribute of the state dict. It says nothing of the tensors.
    private void Build(object state)
    {
        if (_stack.Count <= Floor || _stack[^1] is not PickledDict { IsOrdered: true } || state is not PickledDict { Items: [{ Key: "_metadata" }] })
        {
            throw Error($"BUILD sets attributes from {PickledValues.Describe(state)}; only an OrderedDict's _metadata is expected");
        }
    }

    /// <summary>Objects below this belong to an open mark and cannot be taken without it.</summary>
    private int Floor => _marks.Count == 0 ? 0 : _marks.Peek();

    private void Push(object value)
    {
        Limit(_stack.Count, "objects on the stack");
        _stack.Add(value);
    }

    private object[] Pop(int count)
    {
        if (_stack.Count - count < Floor)
        {
            throw Error($"takes {count} objects from a stack that has {_stack.Count - Floor}");
        }

        var values = _stack[^count..].ToArray();
        _stack.RemoveRange(_stack.Count - count, count);
        return values;
    }

    private object[] PopToMark()
    {
        if (_marks.Count == 0)
        {
            throw Error("there is no mark on the stack");
        }

        var values = Pop(_stack.Count - Floor);
        _marks.Pop();
        return values;
    }

    private void Limit(int count, string what)
    {
        if (count >= (StackPerTensor * (long)_limits.MaxTensors) + Spare)
        {
            throw Error($"more than {count} {what} (raise LoadLimits.MaxTensors if the file is right)");
        }
    }

    private ModelFormatException Error(string problem) => _program.Error(problem);
}
