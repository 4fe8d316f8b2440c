// The C interface: checks what could otherwise reach past an array, and turns every exception into a status.
#include "nativespec.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>

#include "../kernels/cpu/quantized.h"
#include "backend.h"
#include "dispatch.h"
#include "program.h"
#include "status.h"

using namespace nativespec;

namespace {

thread_local char last_error[256] = "";

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

}  // namespace

ns_status nativespec::Fail(ns_status status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(last_error, sizeof last_error, format, arguments);
  va_end(arguments);
  return status;
}

const char* nativespec::LastError() { return last_error; }

int32_t ns_abi_version(void) { return NS_ABI_VERSION; }

void ns_struct_sizes(int32_t* part, int32_t* batch, int32_t* kv, int32_t* step) {
  *part = sizeof(ns_part);
  *batch = sizeof(ns_batch);
  *kv = sizeof(ns_kv);
  *step = sizeof(ns_step);
}

const char* ns_last_error(void) { return LastError(); }

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

ns_status ns_to_floats(ns_backend* backend, const ns_part* vector, float* y) {
  NS_REQUIRE(backend != nullptr && vector != nullptr && vector->data != nullptr && y != nullptr && Extent(vector->rows));
  NS_REQUIRE(vector->type >= NS_F32 && vector->type <= NS_BF16);
  return Guard([&] {
    // A vector is a table of one row.
    const int32_t token = 0;
    const EmbedArguments a{static_cast<const uint8_t*>(vector->data), static_cast<ElementType>(vector->type), &token, y, vector->rows, 1.0f};
    backend->operations.embed(&a, 0, 1);
    return NS_OK;
  });
}

ns_status ns_program_create(ns_backend* backend, const ns_step* steps, int32_t count, const ns_room* room, ns_program** program) {
  NS_REQUIRE(backend != nullptr && (steps != nullptr || count == 0) && count >= 0 && room != nullptr && program != nullptr);
  NS_REQUIRE(room->rows >= 1 && room->rows <= kMostExtent && room->logit_rows >= 0 && room->logit_rows <= kMostExtent);
  return Guard([&] { return ns_program::Create(backend, steps, count, *room, program); });
}

void ns_program_destroy(ns_program* program) { delete program; }

ns_status ns_program_run(ns_program* program, const ns_batch* batch, const ns_kv* kv, const int32_t* cancelled) {
  NS_REQUIRE(program != nullptr && batch != nullptr);
  return Guard([&] { return program->Run(*batch, kv, cancelled); });
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
