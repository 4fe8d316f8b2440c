// The C interface: checks what could otherwise reach past an array, and turns every exception into a status.
#include "nativespec.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "../kernels/cpu/quantized.h"
#include "backend.h"
#include "dispatch.h"

using namespace nativespec;

namespace {

constexpr int64_t kMostExtent = 1 << 30;

thread_local char last_error[256] = "";

ns_status Fail(ns_status status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(last_error, sizeof last_error, format, arguments);
  va_end(arguments);
  return status;
}

/// Runs a function that returns a status, and returns a status whatever happens.
template <class Function>
ns_status Guard(Function function) noexcept {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return Fail(NS_OUT_OF_MEMORY, "the system has no memory left");
  } catch (const std::exception& error) {
    return Fail(NS_FAILED, "%s", error.what());
  } catch (...) {
    return Fail(NS_FAILED, "an unknown exception");
  }
}

bool Extent(int64_t value) { return value >= 1 && value <= kMostExtent; }

long long Print(int64_t value) { return static_cast<long long>(value); }

/// Reads parts and adds up their rows; a failure otherwise.
ns_status ReadParts(const ns_part* parts, int32_t count, int64_t in, std::vector<MatrixPart>& read, int64_t& out) {
  if (parts == nullptr || count < 1 || !Extent(in)) {
    return Fail(NS_INVALID_ARGUMENT, "%d parts of %lld columns; a weight has 1 part or more and 1 to %lld columns", count, Print(in),
                Print(kMostExtent));
  }

  out = 0;
  for (int32_t i = 0; i < count; ++i) {
    if (parts[i].data == nullptr || !Extent(parts[i].rows) || parts[i].type < NS_F32 || parts[i].type > NS_BF16) {
      return Fail(NS_INVALID_ARGUMENT, "part %d has %lld rows of element type %d at %p; expected 1 to %lld rows of F32, F16 or BF16", i,
                  Print(parts[i].rows), parts[i].type, parts[i].data, Print(kMostExtent));
    }
    out += parts[i].rows;
    read.push_back({static_cast<const uint8_t*>(parts[i].data), parts[i].rows, static_cast<ElementType>(parts[i].type)});
  }
  return Extent(out) ? NS_OK : Fail(NS_INVALID_ARGUMENT, "%lld outputs in all; expected at most %lld", Print(out), Print(kMostExtent));
}

ns_status CheckKv(const ns_kv* kv, int32_t layer) {
  if (kv == nullptr || kv->data == nullptr || !Extent(kv->rows) || kv->kv_heads < 1 || kv->heads < kv->kv_heads ||
      kv->heads % kv->kv_heads != 0 || kv->head_dim < 2 || kv->head_dim % 2 != 0 || (kv->type != NS_F32 && kv->type != NS_BF16)) {
    return Fail(NS_INVALID_ARGUMENT, "a cache needs rows, an even head width, heads that are a multiple of its key-value heads, and F32 or BF16");
  }
  return layer >= 0 && layer < kv->layers ? NS_OK : Fail(NS_OUT_OF_RANGE, "layer %d of a cache of %d layers", layer, kv->layers);
}

KvPlanes Planes(const ns_kv& kv, int32_t layer) {
  const int64_t plane = kv.rows * kv.kv_heads * kv.head_dim * (kv.type == NS_BF16 ? 2 : 4);
  uint8_t* keys = static_cast<uint8_t*>(kv.data) + 2 * layer * plane;
  return {keys, keys + plane, kv.type == NS_BF16};
}

/// Every index that attention follows lies inside its array, and every cache row inside the cache.
ns_status CheckSight(const ns_batch& batch, int64_t cache_rows) {
  for (int32_t row = 0; row < batch.rows; ++row) {
    const int64_t seen = int64_t{batch.positions[row]} + 1, trunk = batch.trunk[row];
    const int64_t in_trunk = trunk < seen ? trunk : seen;
    const bool inside = seen >= 1 && trunk >= 0 && batch.page_start[row] >= 0 && batch.path_start[row] >= 0 &&
                        batch.page_start[row] + (in_trunk + kPageSize - 1) / kPageSize <= batch.page_count &&
                        batch.path_start[row] + (seen - in_trunk) <= batch.path_count;
    if (!inside) {
      return Fail(NS_OUT_OF_RANGE, "row %d sees %lld positions, %lld of them in its trunk: past the batch's %d pages or %d path rows", row,
                  Print(seen), Print(trunk), batch.page_count, batch.path_count);
    }
  }
  for (int32_t i = 0; i < batch.page_count; ++i) {
    if (batch.pages[i] < 0 || (int64_t{batch.pages[i]} + 1) * kPageSize > cache_rows) {
      return Fail(NS_OUT_OF_RANGE, "page %d of a cache of %lld rows", batch.pages[i], Print(cache_rows));
    }
  }
  for (int32_t i = 0; i < batch.path_count; ++i) {
    if (batch.path_rows[i] < 0 || batch.path_rows[i] >= cache_rows) {
      return Fail(NS_OUT_OF_RANGE, "cache row %d of %lld", batch.path_rows[i], Print(cache_rows));
    }
  }
  return NS_OK;
}

int64_t PackedBytes(int64_t out, int64_t in, int32_t format) {
  return format == NS_Q8 ? PackedLayout<8>::Panels(out) * PackedLayout<8>::PanelBytes(in)
                         : PackedLayout<4>::Panels(out) * PackedLayout<4>::PanelBytes(in);
}

void SetShape(ns_weight& weight, int64_t out, int64_t in, const float* bias, int32_t format) {
  weight.out = out;
  weight.in = in;
  weight.format = format;
  if (bias != nullptr) {
    weight.bias.assign(bias, bias + out);
  }
}

#define NS_REQUIRE(condition) \
  if (!(condition)) {         \
    return Fail(NS_INVALID_ARGUMENT, "%s: needs %s", __func__, #condition); \
  }

}  // namespace

int32_t ns_abi_version(void) { return NS_ABI_VERSION; }

void ns_struct_sizes(int32_t* part, int32_t* batch, int32_t* kv) {
  *part = sizeof(ns_part);
  *batch = sizeof(ns_batch);
  *kv = sizeof(ns_kv);
}

const char* ns_last_error(void) { return last_error; }

const char* ns_level_name(int32_t level) { return level >= 0 && level < LevelCount() ? LevelName(level) : nullptr; }

int32_t ns_level_runs(int32_t level) { return level >= 0 && level < LevelCount() && LevelRuns(level) ? 1 : 0; }

int32_t ns_default_level(void) { return DefaultLevel(); }

ns_status ns_backend_create(int32_t threads, int32_t level, ns_backend** backend) {
  NS_REQUIRE(backend != nullptr);
  NS_REQUIRE(threads >= 1 && threads <= 256);
  if (ns_level_runs(level) == 0) {
    return Fail(NS_OUT_OF_RANGE, "level %d is not one that this processor runs", level);
  }
  return Guard([&] {
    *backend = new ns_backend(threads, LevelOperations(level));
    return NS_OK;
  });
}

void ns_backend_destroy(ns_backend* backend) { delete backend; }

ns_status ns_backend_set_smallest_chunk(ns_backend* backend, int64_t work) {
  NS_REQUIRE(backend != nullptr && Extent(work));
  backend->fork_work = work;
  backend->chunk_bytes = work;
  return NS_OK;
}

ns_status ns_weight_create(ns_backend* backend, const ns_part* parts, int32_t count, int64_t in, const float* bias, int32_t format,
                           ns_weight** weight) {
  NS_REQUIRE(backend != nullptr && weight != nullptr);
  NS_REQUIRE(format == NS_AS_STORED || format == NS_Q8 || format == NS_Q4);
  return Guard([&] {
    auto made = std::make_unique<ns_weight>();
    int64_t out;
    if (const ns_status status = ReadParts(parts, count, in, made->parts, out); status != NS_OK) {
      return status;
    }

    SetShape(*made, out, in, bias, format);
    if (format != NS_AS_STORED) {
      made->packed = made->owned.Reserve(PackedBytes(out, in, format));
      backend->Quantize(made->parts.data(), count, out, in, format, made->owned.data());
    }
    *weight = made.release();
    return ns_status{NS_OK};
  });
}

ns_status ns_weight_from_packed(const void* packed, int64_t bytes, int64_t out, int64_t in, const float* bias, int32_t format,
                                ns_weight** weight) {
  NS_REQUIRE(packed != nullptr && weight != nullptr);
  if (const int64_t expected = ns_packed_bytes(out, in, format); expected < 0 || expected != bytes) {
    return Fail(NS_INVALID_ARGUMENT, "%lld bytes of packed weights [%lld, %lld]; expected %lld", Print(bytes), Print(out), Print(in),
                Print(expected));
  }
  return Guard([&] {
    auto made = std::make_unique<ns_weight>();
    SetShape(*made, out, in, bias, format);
    made->packed = static_cast<const uint8_t*>(packed);
    *weight = made.release();
    return ns_status{NS_OK};
  });
}

void ns_weight_destroy(ns_weight* weight) { delete weight; }

int64_t ns_packed_bytes(int64_t out, int64_t in, int32_t format) {
  return Extent(out) && Extent(in) && (format == NS_Q8 || format == NS_Q4) ? PackedBytes(out, in, format) : -1;
}

ns_status ns_quantize(ns_backend* backend, const ns_part* parts, int32_t count, int64_t in, int32_t format, void* packed, int64_t bytes) {
  NS_REQUIRE(backend != nullptr && packed != nullptr);
  return Guard([&] {
    std::vector<MatrixPart> read;
    int64_t out;
    if (const ns_status status = ReadParts(parts, count, in, read, out); status != NS_OK) {
      return status;
    }
    if (ns_packed_bytes(out, in, format) != bytes) {
      return Fail(NS_INVALID_ARGUMENT, "room for %lld bytes; [%lld, %lld] packs to %lld", Print(bytes), Print(out), Print(in),
                  Print(ns_packed_bytes(out, in, format)));
    }
    backend->Quantize(read.data(), count, out, in, format, static_cast<uint8_t*>(packed));
    return ns_status{NS_OK};
  });
}

ns_status ns_read(ns_backend* backend, const void* data, int64_t bytes) {
  NS_REQUIRE(backend != nullptr && data != nullptr && bytes >= 0);
  return Guard([&] {
    float seen = 0;
    const ReadArguments a{static_cast<const float*>(data), -1, &seen};
    backend->Run(backend->operations.read, &a, bytes / (kReadFloats * 4), kReadFloats);
    return NS_OK;
  });
}

ns_status ns_embed(ns_backend* backend, const ns_part* table, int64_t width, const ns_batch* batch, float* x) {
  NS_REQUIRE(backend != nullptr && table != nullptr && batch != nullptr && x != nullptr && Extent(width));
  NS_REQUIRE(table->type >= NS_F32 && table->type <= NS_BF16);
  for (int32_t row = 0; row < batch->rows; ++row) {
    if (batch->tokens[row] < 0 || batch->tokens[row] >= table->rows) {
      return Fail(NS_OUT_OF_RANGE, "token %d of a vocabulary of %lld", batch->tokens[row], Print(table->rows));
    }
  }
  return Guard([&] {
    const EmbedArguments a{static_cast<const uint8_t*>(table->data), static_cast<ElementType>(table->type), batch->tokens, x, width};
    backend->Run(backend->operations.embed, &a, batch->rows, width);
    return NS_OK;
  });
}

ns_status ns_rms_norm(ns_backend* backend, const float* x, const float* gain, float epsilon, float* y, int64_t rows, int64_t width) {
  NS_REQUIRE(backend != nullptr && x != nullptr && gain != nullptr && y != nullptr && rows >= 0 && Extent(width));
  return Guard([&] {
    const RmsNormArguments a{x, gain, y, width, epsilon};
    backend->Run(backend->operations.rms_norm, &a, rows, width);
    return NS_OK;
  });
}

ns_status ns_matmul(ns_backend* backend, const ns_weight* weight, const float* x, float* y, int64_t rows, int32_t accumulate) {
  NS_REQUIRE(backend != nullptr && weight != nullptr && x != nullptr && y != nullptr && rows >= 0);
  return Guard([&] {
    if (rows > 0) {
      backend->MatMul(*weight, x, y, rows, accumulate != 0);
    }
    return NS_OK;
  });
}

ns_status ns_gemm(const ns_backend* backend, int64_t m, int64_t n, int64_t k, const float* a, int64_t a_stride, int32_t a_by_columns, const float* b,
                  int64_t b_stride, int64_t b_panel, float* c, int64_t c_stride, int32_t accumulate) {
  NS_REQUIRE(backend != nullptr && a != nullptr && b != nullptr && c != nullptr && Extent(m) && Extent(n) && Extent(k));
  NS_REQUIRE(a_stride >= (a_by_columns != 0 ? m : k) && b_panel >= kGemmPanel && c_stride >= n);
  NS_REQUIRE(b_stride >= (b_panel == kGemmPanel || n < kGemmPanel ? n : kGemmPanel));
  return Guard([&] {
    const GemmArguments g{a, b, c, n, k, a_stride, b_stride, b_panel, c_stride, a_by_columns != 0, accumulate != 0};
    backend->operations.gemm(&g, 0, m);
    return NS_OK;
  });
}

ns_status ns_rope(ns_backend* backend, const ns_batch* batch, float* qkv, const ns_kv* kv, int32_t layer) {
  NS_REQUIRE(backend != nullptr && batch != nullptr && qkv != nullptr);
  if (const ns_status status = CheckKv(kv, layer); status != NS_OK) {
    return status;
  }
  for (int32_t row = 0; row < batch->rows; ++row) {
    if (batch->kv_rows[row] < 0 || batch->kv_rows[row] >= kv->rows) {
      return Fail(NS_OUT_OF_RANGE, "cache row %d of %lld", batch->kv_rows[row], Print(kv->rows));
    }
  }
  return Guard([&] {
    const RopeArguments a{qkv, Planes(*kv, layer), batch->cos, batch->sin, batch->kv_rows, kv->heads, kv->kv_heads, kv->head_dim};
    backend->Run(backend->operations.rope, &a, batch->rows, int64_t{kv->heads + 2 * kv->kv_heads} * kv->head_dim);
    return NS_OK;
  });
}

ns_status ns_tree_attention(ns_backend* backend, const ns_batch* batch, const float* qkv, const ns_kv* kv, int32_t layer, float* y) {
  NS_REQUIRE(backend != nullptr && batch != nullptr && qkv != nullptr && y != nullptr);
  if (const ns_status status = CheckKv(kv, layer); status != NS_OK) {
    return status;
  }
  if (const ns_status status = CheckSight(*batch, kv->rows); status != NS_OK) {
    return status;
  }
  return Guard([&] {
    TreeAttentionArguments a{};
    a.qkv = qkv;
    a.kv = Planes(*kv, layer);
    a.y = y;
    a.positions = batch->positions;
    a.trunk = batch->trunk;
    a.page_start = batch->page_start;
    a.pages = batch->pages;
    a.path_start = batch->path_start;
    a.path_rows = batch->path_rows;
    a.rows = batch->rows;
    a.heads = kv->heads;
    a.kv_heads = kv->kv_heads;
    a.head_dim = kv->head_dim;
    backend->TreeAttention(a);
    return NS_OK;
  });
}

ns_status ns_swiglu(ns_backend* backend, const float* gate_up, float* y, int64_t rows, int64_t width) {
  NS_REQUIRE(backend != nullptr && gate_up != nullptr && y != nullptr && rows >= 0 && Extent(width));
  return Guard([&] {
    const SwiGluArguments a{gate_up, y, width};
    // An exponential and a division cost about as much as eight floats read and written.
    backend->Run(backend->operations.swiglu, &a, rows * ((width + kSwiGluColumns - 1) / kSwiGluColumns), 8 * kSwiGluColumns);
    return NS_OK;
  });
}

ns_status ns_add_silu(ns_backend* backend, float* x, const float* y, int64_t rows, int64_t width) {
  NS_REQUIRE(backend != nullptr && x != nullptr && y != nullptr && rows >= 0 && Extent(width));
  return Guard([&] {
    const AddSiluArguments a{x, y, width};
    backend->Run(backend->operations.add_silu, &a, rows, 8 * width);
    return NS_OK;
  });
}

ns_status ns_gather_rows(const ns_batch* batch, const float* x, float* y, int64_t width) {
  NS_REQUIRE(batch != nullptr && x != nullptr && y != nullptr && Extent(width));
  for (int32_t i = 0; i < batch->logit_count; ++i) {
    if (batch->logit_rows[i] < 0 || batch->logit_rows[i] >= batch->rows) {
      return Fail(NS_OUT_OF_RANGE, "row %d of a batch of %d", batch->logit_rows[i], batch->rows);
    }
    std::memcpy(y + i * width, x + batch->logit_rows[i] * width, static_cast<size_t>(width) * sizeof(float));
  }
  return NS_OK;
}

ns_status ns_move_kv_rows(const ns_kv* kv, const int32_t* from, const int32_t* to, int32_t count) {
  NS_REQUIRE(count == 0 || (from != nullptr && to != nullptr));
  if (const ns_status status = CheckKv(kv, 0); status != NS_OK) {
    return status;
  }
  for (int32_t i = 0; i < count; ++i) {
    if (from[i] < 0 || to[i] < 0 || from[i] >= kv->rows || to[i] >= kv->rows) {
      return Fail(NS_OUT_OF_RANGE, "cache rows %d and %d of %lld", from[i], to[i], Print(kv->rows));
    }
  }

  const int64_t row_bytes = int64_t{kv->kv_heads} * kv->head_dim * (kv->type == NS_BF16 ? 2 : 4);
  for (int32_t layer = 0; layer < kv->layers; ++layer) {
    const KvPlanes planes = Planes(*kv, layer);
    for (void* plane : {planes.keys, planes.values}) {
      for (int32_t i = 0; i < count; ++i) {
        std::memmove(static_cast<uint8_t*>(plane) + to[i] * row_bytes, static_cast<uint8_t*>(plane) + from[i] * row_bytes,
                     static_cast<size_t>(row_bytes));
      }
    }
  }
  return NS_OK;
}
