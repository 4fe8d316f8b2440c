// The objects behind the C interface: a thread team with a level's operations, and a weight matrix.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "../kernels/cpu/operations.h"
#include "thread_team.h"

struct ns_weight;

namespace nativespec {

/// Bytes on a cache line's boundary; large ones in huge pages where the system has them to give. Their contents are not kept when they
/// grow.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  /// Throws std::bad_alloc.
  explicit AlignedBytes(int64_t size) { Reserve(size); }

  uint8_t* Reserve(int64_t size) {
    if (size > size_) {
      bytes_.reset();
      size_ = 0;
      bytes_ = Allocate(size);
      size_ = size;
    }
    return bytes_.get();
  }

  uint8_t* data() const { return bytes_.get(); }

 private:
  struct Free {
    Free() : alignment{64} {}
    explicit Free(std::align_val_t given) : alignment(given) {}
    std::align_val_t alignment;
    void operator()(uint8_t* bytes) const { ::operator delete(bytes, alignment); }
  };
  using Bytes = std::unique_ptr<uint8_t, Free>;

  static Bytes Allocate(int64_t size);

  Bytes bytes_;
  int64_t size_ = 0;
};

/// What becomes of a projection, in the order of the C interface.
enum class Epilogue : int32_t { kStore = 0, kAdd = 1, kSwiGlu = 2, kAddSilu = 3 };

/// p = (W norm(x) + bias) · multiplier, and what becomes of it.
struct Projection {
  const ns_weight* weight;
  const float* x;  // [rows, in]
  float* y;        // [rows, out], or half as wide after SwiGLU; may be x
  int64_t rows;
  const float* gain;  // [in] of the norm before it, or null for none
  float epsilon;
  Epilogue epilogue;
  float multiplier;
  float* normed;     // [rows, in] to work in, where there is a norm
  float* projected;  // [rows, out] to work in, where p itself is not stored
};

}  // namespace nativespec

/// Parts stacked along the output, read in place; or packed, and then `packed` points at own bytes or at the caller's.
struct ns_weight {
  std::vector<nativespec::MatrixPart> parts;
  const uint8_t* packed = nullptr;
  nativespec::AlignedBytes owned;
  int32_t format = 0;
  int64_t in = 0;
  int64_t out = 0;
  std::vector<float> bias;
};

struct ns_backend {
  ns_backend(int threads, const nativespec::Operations& level) : team(threads), operations(level) {}

  /// Runs a kernel on the team; items that together are not worth a fork stay with the caller.
  void Run(nativespec::Work work, const void* arguments, int64_t items, int64_t work_per_item);

  void Project(const nativespec::Projection& p);
  /// How the work is cut (rows_together, heads_together) is decided here.
  void TreeAttention(nativespec::TreeAttentionArguments& a);
  void Quantize(const nativespec::MatrixPart* parts, int64_t count, int64_t out, int64_t in, int32_t format, uint8_t* packed);

  /// Floats worth a fork: a core needs a few microseconds for so many of the cheapest operations.
  int64_t fork_work = 16'384;

  /// Weights of a matmul's smallest chunk: some five microseconds of one core's share of the memory's bandwidth.
  int64_t chunk_bytes = 64 * 1024;

  nativespec::ThreadTeam team;
  const nativespec::Operations& operations;
  nativespec::AlignedBytes prepared;  // activations as the matmul kernels read them

 private:
  /// Bytes of a row as the weight's kernels read it.
  int64_t PreparedBytes(const ns_weight& weight) const;
  const nativespec::MatMulKernel& Kernel(int32_t format) const;
  void ProjectBlock(const nativespec::Projection& p);
  /// Norms rows where there is a gain and lays them out as the kernel reads them, each while it is in the cache.
  void Prepare(const nativespec::Projection& p, const nativespec::MatMulKernel& kernel);
  void RunGated(const nativespec::Projection& p, const nativespec::MatMulKernel& kernel, const nativespec::MatMulArguments& gate,
                const nativespec::MatMulArguments& up, int64_t up_first, int64_t row_bytes);
};
