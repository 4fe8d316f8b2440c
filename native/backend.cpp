#include "backend.h"

#include <algorithm>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "../kernels/cpu/quantized.h"

using nativespec::ElementType;
using nativespec::Epilogue;
using nativespec::MatMulArguments;
using nativespec::MatMulKernel;
using nativespec::MatrixPart;
using nativespec::PrepareArguments;
using nativespec::Projection;
using nativespec::RmsNormArguments;
using nativespec::SwiGluArguments;
using nativespec::Work;

namespace {

/// Prepared activations that stay in a core's second-level cache while the weights pass by. More rows take several passes.
constexpr int64_t kPreparedBytes = 1024 * 1024;

/// Laying out or quantising an activation takes about as long as so many multiply-adds.
constexpr int64_t kPreparingWork = 4;

constexpr size_t kCacheLine = 64;

/// Streams of weights run over many small pages, and each costs a walk through the page tables, twice as long on a virtual machine.
constexpr size_t kHugePage = 2 * 1024 * 1024;

/// A matmul over stacked parts of one element type: outputs run through all of them.
struct StackedArguments {
  const MatMulArguments* parts;
  int64_t count;
  Work work;
};

void RunStacked(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const StackedArguments*>(arguments);
  int64_t first = 0;
  for (int64_t i = 0; i < a.count; first += a.parts[i].out, ++i) {
    const int64_t from = std::max(begin - first, int64_t{0}), to = std::min(end - first, a.parts[i].out);
    if (from < to) {
      a.work(&a.parts[i], from, to);
    }
  }
}

/// Rows that are normed and then laid out. Items: rows.
struct NormThenPrepareArguments {
  RmsNormArguments norm;
  PrepareArguments prepare;
  Work norm_work;
  Work prepare_work;
};

void NormThenPrepare(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const NormThenPrepareArguments*>(arguments);
  a.norm_work(&a.norm, begin, end);
  a.prepare_work(&a.prepare, begin, end);
}

/// Gates and ups of the same outputs, and SwiGLU while they are in the cache. Items: outputs of the gate.
struct GatedArguments {
  const MatMulArguments* gate;
  const MatMulArguments* up;
  int64_t up_first;  // where the ups begin among the outputs of their matmul
  Work matmul;
  SwiGluArguments swiglu;
  int64_t rows;
  Work swiglu_work;
};

void RunGatedOutputs(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const GatedArguments*>(arguments);
  a.matmul(a.gate, begin, end);
  a.matmul(a.up, a.up_first + begin, a.up_first + end);
  SwiGluArguments some = a.swiglu;
  some.gate += begin;
  some.up += begin;
  some.y += begin;
  some.columns = end - begin;
  a.swiglu_work(&some, 0, a.rows * some.Pieces());
}

int64_t ChunkOutputs(const MatMulKernel& kernel, int64_t row_bytes, int64_t chunk_bytes) {
  return std::max(chunk_bytes / std::max(row_bytes, int64_t{1}) / kernel.outputs_per_tile, int64_t{1}) * kernel.outputs_per_tile;
}

}  // namespace

nativespec::AlignedBytes::Bytes nativespec::AlignedBytes::Allocate(int64_t size) {
  const auto bytes = static_cast<size_t>(size);
  const std::align_val_t alignment{bytes >= kHugePage ? kHugePage : kCacheLine};
  Bytes allocated(static_cast<uint8_t*>(::operator new(bytes, alignment)), Free{alignment});
#if defined(MADV_HUGEPAGE)
  if (bytes >= kHugePage) {
    // A wish: where it is refused the pages are small ones.
    madvise(allocated.get(), bytes, MADV_HUGEPAGE);
  }
#endif
  return allocated;
}

void ns_backend::Run(Work work, const void* arguments, int64_t items, int64_t work_per_item) {
  const int64_t grain = (fork_work + work_per_item) / std::max(work_per_item, int64_t{1});
  team.Run(work, arguments, items, std::max(grain, int64_t{1}));
}

void ns_backend::Project(const Projection& p) {
  if (p.rows == 0) {
    return;
  }
  const int64_t row_bytes = PreparedBytes(*p.weight), width = p.epilogue == Epilogue::kSwiGlu ? p.weight->out / 2 : p.weight->out;
  const int64_t blocks = (p.rows * row_bytes + kPreparedBytes - 1) / kPreparedBytes, together = (p.rows + blocks - 1) / blocks;
  for (int64_t row = 0; row < p.rows; row += together) {
    Projection block = p;
    block.x += row * p.weight->in;
    block.y += row * width;
    block.rows = std::min(together, p.rows - row);
    ProjectBlock(block);
  }
}

int64_t ns_backend::PreparedBytes(const ns_weight& weight) const {
  if (weight.packed != nullptr) {
    return Kernel(weight.format).prepared_bytes(weight.in);
  }
  int64_t most = 1;
  for (const MatrixPart& part : weight.parts) {
    most = std::max(most, operations.float_matmul[static_cast<int>(part.type)].prepared_bytes(weight.in));
  }
  return most;
}

const MatMulKernel& ns_backend::Kernel(int32_t format) const { return format == 8 ? operations.q8_matmul : operations.q4_matmul; }

void ns_backend::Prepare(const Projection& p, const MatMulKernel& kernel) {
  const int64_t in = p.weight->in;
  const PrepareArguments prepare{p.gain == nullptr ? p.x : p.normed, prepared.Reserve(kernel.prepared_bytes(in) * p.rows), in, p.rows};
  if (p.gain == nullptr) {
    Run(kernel.prepare, &prepare, p.rows, in * kPreparingWork);
    return;
  }
  const NormThenPrepareArguments a{{p.x, p.gain, p.normed, in, p.epsilon}, prepare, operations.rms_norm, kernel.prepare};
  Run(&NormThenPrepare, &a, p.rows, in * (kPreparingWork + 1));
}

void ns_backend::RunGated(const Projection& p, const MatMulKernel& kernel, const MatMulArguments& gate, const MatMulArguments& up, int64_t up_first,
                          int64_t row_bytes) {
  const int64_t half = p.weight->out / 2;
  const GatedArguments a{&gate, &up, up_first, kernel.work, {p.projected, p.projected + half, p.y, 2 * half, half, half}, p.rows, operations.swiglu};
  team.Run(&RunGatedOutputs, &a, half, ChunkOutputs(kernel, 2 * row_bytes, chunk_bytes));
}

void ns_backend::ProjectBlock(const Projection& p) {
  const ns_weight& weight = *p.weight;
  const int64_t half = weight.out / 2;
  const float* bias = weight.bias.empty() ? nullptr : weight.bias.data();
  float* y = p.epilogue == Epilogue::kStore || p.epilogue == Epilogue::kAdd ? p.y : p.projected;
  MatMulArguments a{weight.packed, nullptr, y, bias, weight.in, weight.out, p.rows, weight.out, p.multiplier, p.epilogue == Epilogue::kAdd};
  bool gated = false;
  if (weight.packed != nullptr) {
    const MatMulKernel& kernel = Kernel(weight.format);
    const int64_t row_bytes = weight.in * weight.format / 8;
    Prepare(p, kernel);
    a.x = prepared.data();
    gated = p.epilogue == Epilogue::kSwiGlu && half % nativespec::kPanelOutputs == 0;
    if (gated) {
      RunGated(p, kernel, a, a, half, row_bytes);
    } else {
      team.Run(kernel.work, &a, weight.out, ChunkOutputs(kernel, row_bytes, chunk_bytes));
    }
  }

  constexpr size_t kMostTogether = 8;
  MatMulArguments stacked[kMostTogether];
  Projection rest = p;  // its norm is computed once
  for (size_t part = 0; part < weight.parts.size() && weight.packed == nullptr;) {
    const ElementType type = weight.parts[part].type;
    const MatMulKernel& kernel = operations.float_matmul[static_cast<int>(type)];
    const int64_t row_bytes = weight.in * (type == ElementType::kF32 ? 4 : 2);
    Prepare(rest, kernel);
    if (rest.gain != nullptr) {
      rest.gain = nullptr;
      rest.x = rest.normed;
    }
    a.x = prepared.data();
    int64_t outputs = 0;
    size_t count = 0;
    for (; part < weight.parts.size() && weight.parts[part].type == type && count < kMostTogether; ++part, ++count) {
      a.weights = weight.parts[part].data;
      a.out = weight.parts[part].rows;
      stacked[count] = a;
      a.y += a.out;
      a.bias = a.bias == nullptr ? nullptr : a.bias + a.out;
      outputs += a.out;
    }

    gated = p.epilogue == Epilogue::kSwiGlu && count == 2 && outputs == weight.out && stacked[0].out == half;
    if (gated) {
      RunGated(p, kernel, stacked[0], stacked[1], 0, row_bytes);
    } else {
      const StackedArguments all{stacked, static_cast<int64_t>(count), kernel.work};
      team.Run(&RunStacked, &all, outputs, ChunkOutputs(kernel, row_bytes, chunk_bytes));
    }
  }

  // An exponential and a division cost about as much as eight floats read and written.
  if (p.epilogue == Epilogue::kSwiGlu && !gated) {
    const SwiGluArguments s{p.projected, p.projected + half, p.y, 2 * half, half, half};
    Run(operations.swiglu, &s, p.rows * s.Pieces(), 8 * nativespec::kSwiGluColumns);
  } else if (p.epilogue == Epilogue::kAddSilu) {
    const nativespec::AddSiluArguments s{p.y, p.projected, weight.out};
    Run(operations.add_silu, &s, p.rows, 8 * weight.out);
  }
}

void ns_backend::TreeAttention(nativespec::TreeAttentionArguments& a) {
  if (a.rows == 0) {
    return;
  }

  // As many queries together as can be, for they share each key; but two items for every thread, so that none waits long for another.
  // Query heads are cut only where threads would have nothing at all.
  const auto tiles = [](int64_t wanted, int64_t of) { return (of + wanted - 1) / wanted; };
  const int64_t group = a.heads / a.kv_heads, threads = team.threads();
  const int64_t row_tiles = std::min(tiles(a.kv_heads, 2 * threads), a.rows);
  const int64_t head_tiles = std::min(tiles(a.kv_heads * row_tiles, threads), group);
  a.heads_together = std::min(tiles(head_tiles, group), nativespec::kMostQueries);
  a.rows_together = std::min(tiles(row_tiles, a.rows), nativespec::kMostQueries / a.heads_together);

  int64_t seen = 0;
  for (int64_t row = 0; row < a.rows; ++row) {
    seen += a.positions[row] + 1 - a.FirstSeen(row);
  }
  const int64_t items = a.kv_heads * a.HeadTiles() * a.RowTiles();
  Run(operations.tree_attention, &a, items, seen * a.heads * a.head_dim / items);
}

void ns_backend::Quantize(const MatrixPart* parts, int64_t count, int64_t out, int64_t in, int32_t format, uint8_t* packed) {
  const nativespec::QuantizeArguments a{parts, count, in, packed};
  Run(format == 8 ? operations.quantize_q8 : operations.quantize_q4, &a, (out + nativespec::kPanelOutputs - 1) / nativespec::kPanelOutputs,
      nativespec::kPanelOutputs * in);
}
