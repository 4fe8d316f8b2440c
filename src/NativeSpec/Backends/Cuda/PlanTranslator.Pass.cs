using System.Runtime.CompilerServices;
using NativeSpec.Backends.Cuda.Driver;

namespace NativeSpec.Backends.Cuda;

internal sealed partial class PlanTranslator
{
    private const float Log2E = 1.4426950408889634f;

    /// <summary>F16 holds what SwiGLU makes when it is this much smaller.</summary>
    private const float SwiGluScaleF16 = 0.0625f;

    /// <summary>One translation. Between two steps at most one value waits for partial sums to be added to it.</summary>
    private ref struct Pass(PlanTranslator plan, CudaTurn turn, CudaStaging staging, LaunchList launches, int rows, int logitRows)
    {
        private readonly PlanTranslator _of = plan;
        private readonly CudaTurn _turn = turn;
        private readonly CudaStaging _staging = staging;
        private readonly LaunchList _launches = launches;
        private readonly int _rows = rows;
        private readonly int _logitRows = logitRows;
        private readonly RoundLayout _round = new(rows, logitRows);
        private readonly CudaKernels _kernels = plan._backend.Kernels;
        private readonly Dictionary<Rows, (ulong Address, float Scale)> _packed = [];
        private Rows? _waiting;
        private int _segments; // of the partial sums that wait
        private ulong _bias;   // for the rotation alone

        public void Translate(bool walks)
        {
            if (_of._kv is { } kv)
            {
                Move(kv, Upload(0), Upload(_round.MoveList)); // moves are found by their place in the whole block
            }

            for (var i = 0; i < _of._steps.Length; i++)
            {
                var step = _of._steps[i];
                if ((step.Writes ?? step.Reads)?.Of == RowSet.Logits && _logitRows == 0)
                {
                    continue;
                }

                switch (step)
                {
                    case EmbedStep embed:
                        Embed(embed);
                        break;
                    case NormStep norm:
                        Flush(norm.X);
                        Finish(norm.X, norm.Into, norm.Norm, source: 0, partials: 0, segments: 0, bias: 0, Epilogue.Store, x: Value(norm.X));
                        break;
                    case ProjectStep project:
                        Project(project);
                        break;
                    case RopeStep rope:
                        Rope(rope);
                        break;
                    case AttendStep attend:
                        Attend(attend, i);
                        break;
                    case GatherStep gather:
                        i += Gather(gather, i);
                        break;
                    default:
                        throw new InvalidOperationException($"the CUDA kernels know no {step.GetType().Name}");
                }
            }

            if (_waiting is { } last && _of._plan.IsKept(last))
            {
                Flush(last);
            }

            if (_of._plan.Asked is { } asked && _logitRows > 0)
            {
                Choose(asked);
            }

            if (walks)
            {
                Walk(_of._kv!);
            }
        }

        private readonly int RowsOf(Rows value) => value.Of == RowSet.All ? _rows : _logitRows;

        private readonly ulong Value(Rows value) => _of.Value(_turn, value);

        private readonly ulong Upload(int offset) => _of._buffers[BufferUse.Upload, 0] + (ulong)offset;

        private readonly ulong Partials() => _of._buffers.Get(_turn, BufferUse.Partials, 0, _of.PartialBytes());

        private static ulong GainOf(RmsGain? norm) => norm is { } gain ? ((CudaVector)gain.Gain).Memory.Handle : 0;

        /// <summary>Moves cache rows: those of one list, or of as many as a number on the device says.</summary>
        private readonly void Move(CudaKv kv, ulong moves, ulong lists, ulong listCount = 0)
            => _launches.Add(_kernels["move_kv_rows"], 2 * kv.Shape.Layers, listCount == 0 ? 1 : CudaKernels.MoveBlocks, 0, new MoveKvRowsArguments
            {
                Planes = kv.Planes,
                Moves = moves,
                Lists = lists,
                ListCount = listCount,
                KvHeads = kv.Shape.KvHeads,
                Width = kv.HeadNumbers,
            });

        private readonly void Embed(EmbedStep step)
        {
            var (table, format) = ((CudaWeight)step.Table).Table(_turn, _staging);
            _launches.Add(_kernels["embed"], _rows, 1, 0, new EmbedArguments
            {
                Table = table.Handle,
                Tokens = Upload(_round.Tokens),
                X = Value(step.Into),
                Width = step.Table.InFeatures,
                Format = (int)format,
                Scale = step.Multiplier,
            });
        }

        /// <summary>Adds the partial sums that a value waits for, if it does.</summary>
        private void Flush(Rows value)
        {
            if (_waiting == value)
            {
                _waiting = null;
                Finish(value, value, null, source: 0, Partials(), _segments, bias: 0, Epilogue.Add, x: Value(value));
            }
        }

        private readonly void Finish(Rows from, Rows into, RmsGain? norm, ulong source, ulong partials, int segments, ulong bias, Epilogue epilogue, ulong x)
        {
            var (blocks, bytes) = norm is null && source == 0 ? (CudaKernels.FinishBlocks(into.Width), 0) : (1, CudaKernels.NormBytes(into.Width));
            _launches.Add(_kernels["finish_rows"], RowsOf(into), blocks, bytes, new FinishRowsArguments
            {
                X = x,
                Partials = partials,
                Bias = bias,
                Gain = GainOf(norm),
                Source = source,
                Y = Value(into),
                Segments = segments,
                Bucket = RowsOf(from),
                Width = into.Width,
                Epilogue = (int)epilogue,
                Epsilon = norm?.Epsilon ?? 0,
            }, threads: CudaKernels.NormThreads(into.Width));
        }

        /// <summary>Takes the wanted rows out, with what they wait for, and norms them in the same go where a norm follows. Returns how many further steps that was.</summary>
        private int Gather(GatherStep step, int at)
        {
            var isLast = !_of._plan.IsKept(step.X) && !_of._steps.Skip(at + 1).Any(later => later.Reads == step.X || later.Writes == step.X);
            if (!isLast)
            {
                Flush(step.X);
            }

            var norm = at + 1 < _of._steps.Length && _of._steps[at + 1] is NormStep next && next.X == step.Into && next.Into == step.Into ? next.Norm : null;
            var waits = _waiting == step.X;
            _waiting = waits ? null : _waiting;
            Finish(step.X, step.Into, norm, Upload(_round.LogitRows), waits ? Partials() : 0, waits ? _segments : 0, bias: 0, Epilogue.Store, Value(step.X));
            return norm is null ? 0 : 1;
        }

        private void Project(ProjectStep step)
        {
            var weight = (CudaWeight)step.Weight;
            var ending = _of.EndingOf(step);
            var parts = PartsOf(step);
            var (operand, scale) = Operand(step, parts);
            var matrix = weight.Matrix(_turn, _staging, inTurns: ending == Ending.Packed);
            var multiplier = step.Multiplier / scale;
            switch (ending)
            {
                case Ending.Direct:
                    Multiply(matrix, step, operand, Value(step.Into), segments: 1, multiplier);
                    break;
                case Ending.Packed:
                    var swiGluScale = parts > 0 ? 1 : SwiGluScaleF16;
                    var packed = PackedValue(step.Into);
                    Multiply(matrix, step, operand, packed, segments: 1, multiplier, swiGluScale);
                    _packed[step.Into] = (packed, swiGluScale);
                    break;
                default:
                    if (_waiting is { } waiting)
                    {
                        Flush(waiting); // the room for partial sums is taken anew
                    }

                    var segments = CudaLayout.Segments(matrix.Out, matrix.Stages);
                    Multiply(matrix, step, operand, Partials(), segments, multiplier);
                    var sums = segments * CudaLayout.RowsOfParts(parts);
                    var bias = weight.Bias(_turn, _staging, step.Multiplier)?.Handle ?? 0;
                    if (ending == Ending.Partial)
                    {
                        (_waiting, _segments, _bias) = (step.Into, sums, bias);
                    }
                    else
                    {
                        var adds = step.Epilogue is Epilogue.Add or Epilogue.AddSilu;
                        Finish(step.X, step.Into, null, source: 0, Partials(), sums, bias, step.Epilogue, adds ? Value(step.Into) : 0);
                    }

                    break;
            }
        }

        /// <summary>The rows that a product reads: as they were packed by whoever made them, or packed now, with the norm and what they wait for.</summary>
        private (ulong Address, float Scale) Operand(ProjectStep step, int parts)
        {
            var x = step.X;
            if (step.Norm is null && _packed.TryGetValue(x, out var packed))
            {
                return packed;
            }

            var operand = _of._buffers.Get(_turn, BufferUse.Operand, CudaLayout.FilledColumns(x.Width), CudaLayout.ActivationBytes(x.Width, Math.Max(_of._most.Rows, _of._mostLogitRows) * _of._mostParts));
            var waits = _waiting == x;
            _waiting = waits ? null : _waiting;
            _launches.Add(_kernels["rms_norm"], RowsOf(x), 1, CudaKernels.NormBytes(x.Width, norms: step.Norm is not null), new RmsNormArguments
            {
                X = Value(x),
                Partials = waits ? Partials() : 0,
                Gain = GainOf(step.Norm),
                Y = operand,
                Segments = waits ? _segments : 0,
                Bucket = RowsOf(x),
                YTiles = RowsOf(x) * CudaLayout.RowsOfParts(parts) / 8,
                Width = x.Width,
                Parts = parts,
                Epsilon = step.Norm?.Epsilon ?? 0,
            }, threads: CudaKernels.NormThreads(x.Width));
            return (operand, 1);
        }

        private readonly void Multiply(CudaMatrix matrix, ProjectStep step, ulong x, ulong y, int segments, float scale, float swiGluScale = 0)
        {
            var bucket = RowsOf(step.X) * CudaLayout.RowsOfParts(PartsOf(step));
            var device = _of._backend.Device;
            var (productRows, rowBlocks) = CudaLayout.ProductOf(bucket);
            var (ring, bytes) = CudaLayout.Ring(matrix.Format, productRows, device.SharedBytes);
            _launches.Add(_kernels[CudaKernels.MatMulName(matrix.Format, productRows)], CudaLayout.ProductGrid(matrix.Out, segments, bucket, device.Multiprocessors), 1, bytes, new MatMulArguments
            {
                Weights = matrix.Memory.Handle,
                X = x,
                Y = y,
                Stages = matrix.Stages,
                Segments = segments,
                Slabs = CudaLayout.Slabs(matrix.Out),
                Out = matrix.Out,
                RowBlocks = rowBlocks,
                Ring = ring,
                SwiGlu = swiGluScale != 0 ? 1 : 0,
                Scale = scale,
                SwiGluScale = swiGluScale,
            }, weightBytes: matrix.Memory.Bytes);
        }

        private readonly ulong PackedValue(Rows value) => _of._buffers.Get(
            _turn, BufferUse.Packed, CudaLayout.FilledColumns(value.Width) + (1_000_000 * _of._layout.BufferOf(value)), CudaLayout.ActivationBytes(value.Width, _of.MostRows(value) * _of._mostParts));

        private void Rope(RopeStep step)
        {
            var (a, kv) = (step.Attention, _of._kv!);
            var waits = _waiting == step.Qkv;
            _waiting = waits ? null : _waiting;
            _launches.Add(_kernels["rope_append"], _rows, CudaLayout.RotationGrid(a.Heads, a.KvHeads), CudaLayout.RotationBytes, new RopeAppendArguments
            {
                Partials = waits ? Partials() : Value(step.Qkv),
                Bias = waits ? _bias : 0,
                QGain = GainOf(a.QNorm),
                KGain = GainOf(a.KNorm),
                Cos = a.RotaryDim == 0 ? 0 : _of._buffers[BufferUse.Cosines, 0],
                Sin = a.RotaryDim == 0 ? 0 : _of._buffers[BufferUse.Sines, 0],
                Positions = Upload(_round.Positions),
                KvRows = Upload(_round.KvRows),
                Q = Queries(a),
                Keys = kv.Keys(a.Layer),
                Values = kv.Values(a.Layer),
                Segments = waits ? _segments : 1,
                Bucket = _rows,
                Heads = a.Heads,
                KvHeads = a.KvHeads,
                HeadWidth = a.HeadDim,
                Width = CudaLayout.HeadWidth(a.HeadDim),
                Rotated = a.RotaryDim,
                Parts = CudaLayout.KvParts(kv.Format),
                Epsilon = a.Epsilon,
            });
        }

        private readonly ulong Queries(AttentionPlan a)
            => _of._buffers.Get(_turn, BufferUse.Queries, 0, (long)_of._most.Rows * a.Heads * CudaLayout.KvNumbers(a.HeadDim, _of._kv!.Format) * 2);

        private readonly void Attend(AttendStep step, int at)
        {
            var (a, kv) = (step.Attention, _of._kv!);
            if (at == 0 || _of._steps[at - 1] is not RopeStep rope || rope.Qkv != step.Qkv || _of.PackedFor(step.Into) is not { } parts)
            {
                throw new ArgumentException("the CUDA kernels attend right after the rotation, for a product", nameof(step));
            }

            var width = CudaLayout.HeadWidth(a.HeadDim);
            var pairs = (long)_of._most.Items * a.Heads;
            var maximaSums = _of._buffers.Get(_turn, BufferUse.MaximaSums, 0, pairs * 8);
            var weighted = _of._buffers.Get(_turn, BufferUse.Weighted, 0, pairs * width * sizeof(float));
            var block = Upload(0);
            _launches.Add(_kernels[CudaKernels.AttentionName(kv.Format, width)], CudaLayout.AttentionGrid(_of._backend.Device.Multiprocessors), 1, CudaLayout.AttentionBytes(width, kv.Format), new TreeAttentionArguments
            {
                Q = Queries(a),
                Keys = kv.Keys(a.Layer),
                Values = kv.Values(a.Layer),
                MaximaSums = maximaSums,
                Weighted = weighted,
                Positions = Upload(_round.Positions),
                Trunk = Upload(_round.Trunk),
                PageStart = Upload(_round.PageStart),
                Pages = block, // pages and path rows are found by their places in the whole block
                PathStart = Upload(_round.PathStart),
                PathRows = block,
                Items = Upload(_round.Items),
                ItemCount = Upload(_round.ItemCount),
                MostItems = _of._most.Items,
                Bucket = _rows,
                Heads = a.Heads,
                KvHeads = a.KvHeads,
                Window = a.Window,
                Scale = a.Scale * Log2E,
            });
            var packed = PackedValue(step.Into);
            _launches.Add(_kernels["attention_fold"], _rows, CudaLayout.FoldGrid(a.Heads), 0, new AttentionFoldArguments
            {
                MaximaSums = maximaSums,
                Weighted = weighted,
                Positions = Upload(_round.Positions),
                Y = packed,
                Bucket = _rows,
                Heads = a.Heads,
                HeadWidth = a.HeadDim,
                Width = width,
                Window = a.Window,
                YTiles = _rows * CudaLayout.RowsOfParts(parts) / 8,
                Parts = parts,
            });
            _packed[step.Into] = (packed, 1);
        }

        private readonly void Choose(Rows logits) => _launches.Add(_kernels["choose"], _logitRows, 1, CudaKernels.ChooseBytes, new ChooseArguments
        {
            Logits = Value(logits),
            Rules = Upload(_round.Rules),
            Answers = Answers(),
            Vocabulary = logits.Width,
        }, threads: CudaKernels.ChooseThreads(logits.Width));

        /// <summary>Walks along trees by what was chosen, and moves the keys and values of their paths.</summary>
        private readonly void Walk(CudaKv kv)
        {
            var most = (ulong)_of._mostLogitRows * (ulong)Unsafe.SizeOf<KvMove>();
            var moves = _of._buffers.Get(_turn, BufferUse.Moves, 0, (long)(2 * most));
            var lists = moves + most;
            _launches.Add(_kernels["walk_trees"], _logitRows, 1, CudaKernels.WalkBytes * _logitRows, new WalkTreesArguments
            {
                Trees = Upload(_round.Trees),
                TreeCount = Upload(_round.TreeCount),
                Parents = Upload(_round.Parents),
                LogitRows = Upload(_round.LogitRows),
                Tokens = Upload(_round.Tokens),
                KvRows = Upload(_round.KvRows),
                Answers = Answers(),
                Paths = Answers() + (ulong)(_logitRows * Unsafe.SizeOf<RowAnswer>()),
                Moves = moves,
                Lists = lists,
            });
            Move(kv, moves, lists, Upload(_round.TreeCount));
        }

        /// <summary>What comes down: answers of the bucket's rows, and behind them paths.</summary>
        private readonly ulong Answers() => _of._buffers.Get(_turn, BufferUse.Answers, 0, (long)_of._mostLogitRows * CudaLayout.AnswerBytes);
    }
}
