using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using ManagedCuda;
using ManagedCuda.BasicTypes;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Cuda.Driver;
using CudaLibrary = NativeSpec.Backends.Cuda.Driver.CudaLibrary;
using OurContext = NativeSpec.Backends.Cuda.Driver.CudaContext;
using OurKernel = NativeSpec.Backends.Cuda.Driver.CudaKernel;
using TheirException = ManagedCuda.CudaException;
using TheirKernel = ManagedCuda.CudaKernel;

namespace NativeSpec.Benchmarks.ManagedCuda;

/// <summary>The same kernel of the same PTX in the same context and stream, launched by three ways: this project's P/Invoke, ManagedCuda's CudaKernel, which packs its parameters at every
/// launch, and the P/Invoke beneath that. All must compute the same; what is compared is what a launch costs the host.</summary>
internal sealed unsafe class LaunchComparison : IDisposable
{
    private const int Tokens = 64, Width = 256, Vocabulary = 512;

    private readonly OurContext _context;
    private readonly PrimaryContext _theirs;
    private readonly CudaResource _module, _table, _ids;
    private readonly CudaResource[] _outputs;
    private readonly OurKernel _ourKernel;
    private readonly CUmodule _theirModule;
    private readonly TheirKernel _theirKernel;
    private readonly EmbedArguments* _arguments = (EmbedArguments*)NativeMemory.AlignedAlloc((nuint)sizeof(EmbedArguments), 16);

    private delegate void LaunchOne(CudaTurn turn);

    /// <summary>Loads the kernels twice, and makes an embedding table of random numbers.</summary>
    /// <exception cref="InvalidOperationException">There is no driver, or no device.</exception>
    public LaunchComparison()
    {
        var device = CudaDevice.Find(null, out var none) ?? throw new InvalidOperationException(none);
        var image = CudaImage.For(device.Capability);
        Device = $"{device.Name}, sm_{device.Capability}, driver for CUDA {CudaLibrary.Version}";
        _context = new OurContext(device);
        _theirs = new PrimaryContext(device.Handle);
        _theirs.SetCurrent();
        _theirModule = _theirs.LoadModulePTX(image);
        _theirKernel = new TheirKernel("embed", _theirModule) { GridDimensions = new(Tokens), BlockDimensions = new(256u) };

        using var turn = _context.Enter();
        _module = turn.LoadModule(image);
        _ourKernel = turn.Kernel(_module, "embed", threads: 256, sharedBytes: 0);
        var random = new Random(1);
        float[] table = [.. Enumerable.Range(0, Vocabulary * Width).Select(_ => random.NextSingle())];
        int[] ids = [.. Enumerable.Range(0, Tokens).Select(row => row * 7919 % Vocabulary)];
        _table = Upload(turn, MemoryMarshal.AsBytes<float>(table));
        _ids = Upload(turn, MemoryMarshal.AsBytes<int>(ids));
        _outputs = [turn.Allocate(Tokens * Width * sizeof(float)), turn.Allocate(Tokens * Width * sizeof(float)), turn.Allocate(Tokens * Width * sizeof(float))];
        foreach (var output in _outputs)
        {
            turn.Clear(output.Handle, Tokens * Width * sizeof(float));
        }

        turn.Synchronize("tables are uploaded");
    }

    /// <summary>What computes.</summary>
    public string Device { get; }

    /// <summary>Launches by each way in turn.</summary>
    /// <param name="launches">Launches that are timed together.</param>
    /// <param name="repeats">Repeats, of which the median counts.</param>
    /// <param name="output">Where the figures go.</param>
    /// <exception cref="InvalidOperationException">The ways do not compute the same.</exception>
    public void Run(int launches, int repeats, TextWriter output)
    {
        (string Name, LaunchOne Launch)[] ways =
        [
            ("NativeSpec, P/Invoke", turn => Ours(turn, _outputs[0])),
            ("ManagedCuda, CudaKernel.RunAsync", _ => Theirs(_outputs[1])),
            ("ManagedCuda, cuLaunchKernel", _ => TheirsBeneath(_outputs[2])),
        ];
        var seconds = Array.ConvertAll(ways, _ => new List<double>());
        for (var repeat = -1; repeat < repeats; repeat++)
        {
            for (var way = 0; way < ways.Length; way++)
            {
                using var turn = _context.Enter();
                var began = Stopwatch.GetTimestamp();
                for (var i = 0; i < launches; i++)
                {
                    ways[way].Launch(turn);
                }

                var took = Stopwatch.GetElapsedTime(began).TotalSeconds;
                turn.Synchronize("launches are compared");
                if (repeat >= 0)
                {
                    seconds[way].Add(took);
                }
            }
        }

        RequireSame();
        output.WriteLine($"{Device}; {launches} launches of embed ({Tokens} blocks) each, median of {repeats}");
        for (var way = 0; way < ways.Length; way++)
        {
            var sorted = seconds[way].Order().ToArray();
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{ways[way].Name,-34} {sorted[repeats / 2] / launches * 1e6,8:0.000} µs a launch ({sorted[0] / launches * 1e6:0.000} to {sorted[^1] / launches * 1e6:0.000})"));
        }
    }

    /// <summary>Gives everything back.</summary>
    public void Dispose()
    {
        Array.ForEach([_module, _table, _ids, .. _outputs], resource => resource.Dispose());
        _theirs.UnloadModule(_theirModule);
        _context.Dispose();
        _theirs.Dispose();
        NativeMemory.AlignedFree(_arguments);
    }

    private void Ours(CudaTurn turn, CudaResource output)
    {
        *_arguments = Arguments(output);
        turn.Launch(new KernelLaunch(_ourKernel, Tokens, 1, 256, 0, (nint)_arguments, IsDependent: false));
    }

    private void Theirs(CudaResource output) => _theirKernel.RunAsync(new CUstream { Pointer = _context.Stream }, Arguments(output));

    private void TheirsBeneath(CudaResource output)
    {
        *_arguments = Arguments(output);
        nint argument = (nint)_arguments;
        var code = DriverAPINativeMethods.Launch.cuLaunchKernel(
            _theirKernel.CUFunction, Tokens, 1, 1, 256, 1, 1, 0, new CUstream { Pointer = _context.Stream }, [argument], null);
        if (code != CUResult.Success)
        {
            throw new TheirException(code);
        }
    }

    private EmbedArguments Arguments(CudaResource output) => new()
    {
        Table = _table.Handle,
        Tokens = _ids.Handle,
        X = output.Handle,
        Width = Width,
        Format = (int)CudaFormat.F32,
        Scale = 1,
    };

    private static CudaResource Upload(CudaTurn turn, ReadOnlySpan<byte> bytes)
    {
        var memory = turn.Allocate(bytes.Length);
        fixed (byte* from = bytes)
        {
            turn.Upload(memory.Handle, from, bytes.Length);
            turn.Synchronize("a table is uploaded");
        }

        return memory;
    }

    private void RequireSame()
    {
        var rows = Array.ConvertAll(_outputs, output => new float[Tokens * Width]);
        using var turn = _context.Enter();
        for (var i = 0; i < rows.Length; i++)
        {
            fixed (float* to = rows[i])
            {
                turn.Download((byte*)to, _outputs[i].Handle, rows[i].Length * sizeof(float));
                turn.Synchronize("rows are downloaded");
            }
        }

        if (rows[0].All(value => value == 0) || !rows[0].SequenceEqual(rows[1]) || !rows[0].SequenceEqual(rows[2]))
        {
            throw new InvalidOperationException("the launches do not compute the same rows: their times say nothing");
        }
    }
}
