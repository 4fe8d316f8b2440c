/* The native kernels of NativeSpec behind a C interface.
 *
 * Every function that can fail returns an ns_status; ns_last_error then has the reason, for the calling thread. Nothing throws or aborts
 * across this interface. Objects are used by one thread at a time. Memory of activations, keys and values belongs to the caller;
 * matrices are row-major. Every operation is batch-invariant: a row's bits depend on that row's inputs alone. */
#ifndef NATIVESPEC_H
#define NATIVESPEC_H

#include <stdint.h>

#if defined(_WIN32)
#define NS_API __declspec(dllexport)
#else
#define NS_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when anything below changes. ns_abi_version itself never does. */
#define NS_ABI_VERSION 3

typedef int32_t ns_status;
enum { NS_OK = 0, NS_INVALID_ARGUMENT = 1, NS_OUT_OF_RANGE = 2, NS_OUT_OF_MEMORY = 3, NS_FAILED = 4 };

/* Element types of weights and caches. */
enum { NS_F32 = 0, NS_F16 = 1, NS_BF16 = 2 };

/* How weights are held: as they lie, or packed (kernels/cpu/quantized.h has the layout). */
enum { NS_AS_STORED = 0, NS_Q8 = 8, NS_Q4 = 4 };

typedef struct ns_backend ns_backend;
typedef struct ns_weight ns_weight;

/* Rows of a weight matrix where they lie: [rows, in]. They must outlive the weight, unless it is packed. */
typedef struct {
  const void* data;
  int64_t rows;
  int32_t type;
  int32_t reserved;
} ns_part;

/* One forward's rows; the fields are those of the managed RowBatch. */
typedef struct {
  const int32_t* tokens;     /* [rows] */
  const int32_t* positions;  /* [rows] */
  const int32_t* kv_rows;    /* [rows] cache row of this row's key and value */
  const int32_t* trunk;      /* [rows] positions that lie in their own slot */
  const int32_t* page_start; /* [rows] into pages */
  const int32_t* pages;      /* page numbers; a page is 64 cache rows */
  const int32_t* path_start; /* [rows] into path_rows */
  const int32_t* path_rows;  /* cache rows of the positions past the trunk */
  const int32_t* logit_rows; /* rows whose logits are wanted */
  const float* cos;          /* [rows, head_dim/2] */
  const float* sin;
  int32_t rows;
  int32_t page_count;
  int32_t path_count;
  int32_t logit_count;
} ns_batch;

/* Keys and values: [layer][keys | values][rows][kv_heads][head_dim] of NS_F32 or NS_BF16. */
typedef struct {
  void* data;
  int64_t rows;
  int32_t layers;
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t type;
  int32_t reserved;
} ns_kv;

NS_API int32_t ns_abi_version(void);

/* Sizes of ns_part, ns_batch and ns_kv here, so that a caller with another idea of them finds out at load. */
NS_API void ns_struct_sizes(int32_t* part, int32_t* batch, int32_t* kv);

/* The last failure on this thread; valid until the next. */
NS_API const char* ns_last_error(void);

/* Instruction-set levels built into this library: names from 0 on, null past the last. */
NS_API const char* ns_level_name(int32_t level);

/* 1 where this processor runs the level. */
NS_API int32_t ns_level_runs(int32_t level);

/* The level taken when none is asked for: the fastest for this processor. It is a function of the processor's features and vendor, never
 * of a measurement, because results differ between levels in their last bits. */
NS_API int32_t ns_default_level(void);

NS_API ns_status ns_backend_create(int32_t threads, int32_t level, ns_backend** backend);
NS_API void ns_backend_destroy(ns_backend* backend);

/* Lets operations be split down to chunks of so few floats, or bytes of weights, where they otherwise stay whole because a fork would cost
 * more than it gains. It changes no result; tests use it so that small cases run on all threads. */
NS_API ns_status ns_backend_set_smallest_chunk(ns_backend* backend, int64_t work);

/* Stacks parts along the output. bias: one float per output, copied, or null. A packed format copies the weights. */
NS_API ns_status ns_weight_create(ns_backend* backend, const ns_part* parts, int32_t count, int64_t in, const float* bias, int32_t format,
                                  ns_weight** weight);

/* Weights that are packed already; they must outlive the weight. */
NS_API ns_status ns_weight_from_packed(const void* packed, int64_t bytes, int64_t out, int64_t in, const float* bias, int32_t format,
                                       ns_weight** weight);
NS_API void ns_weight_destroy(ns_weight* weight);

/* Bytes of a packed matrix, or -1 for extents or a format that cannot be. */
NS_API int64_t ns_packed_bytes(int64_t out, int64_t in, int32_t format);
NS_API ns_status ns_quantize(ns_backend* backend, const ns_part* parts, int32_t count, int64_t in, int32_t format, void* packed,
                             int64_t bytes);

/* Reads bytes of memory on all threads and does nothing with them: the roofline of a matmul. */
NS_API ns_status ns_read(ns_backend* backend, const void* data, int64_t bytes);

/* x[row] = table[token[row]] as F32; the table is one matrix [vocabulary, width]. */
NS_API ns_status ns_embed(ns_backend* backend, const ns_part* table, int64_t width, const ns_batch* batch, float* x);
NS_API ns_status ns_rms_norm(ns_backend* backend, const float* x, const float* gain, float epsilon, float* y, int64_t rows, int64_t width);
/* y = W x + bias, or y += ... when accumulate is not 0; x [rows, in], y [rows, out]. */
NS_API ns_status ns_matmul(ns_backend* backend, const ns_weight* weight, const float* x, float* y, int64_t rows, int32_t accumulate);
/* c = a b, or c += a b when accumulate is not 0; c [m, n], all F32, rows as far apart as the strides say. a is [m, k], or [k, m] when a_by_columns
 * is not 0. b is [k, n] in panels of 64 columns: b[j / 64 * b_panel + i * b_stride + j % 64], so that a b_panel of 64 is row-major. Computes
 * on the calling thread alone, and several threads may compute with one backend at once. */
NS_API ns_status ns_gemm(const ns_backend* backend, int64_t m, int64_t n, int64_t k, const float* a, int64_t a_stride, int32_t a_by_columns,
                         const float* b, int64_t b_stride, int64_t b_panel, float* c, int64_t c_stride, int32_t accumulate);
/* Turns q and k in qkv [rows, (heads + 2·kv_heads)·head_dim]; k and v go to the cache. */
NS_API ns_status ns_rope(ns_backend* backend, const ns_batch* batch, float* qkv, const ns_kv* kv, int32_t layer);
NS_API ns_status ns_tree_attention(ns_backend* backend, const ns_batch* batch, const float* qkv, const ns_kv* kv, int32_t layer, float* y);
NS_API ns_status ns_swiglu(ns_backend* backend, const float* gate_up, float* y, int64_t rows, int64_t width);
/* x += silu(y); x and y [rows, width] */
NS_API ns_status ns_add_silu(ns_backend* backend, float* x, const float* y, int64_t rows, int64_t width);
/* y[i] = x[logit_rows[i]] */
NS_API ns_status ns_gather_rows(const ns_batch* batch, const float* x, float* y, int64_t width);
/* For each i in turn, in every layer: cache row to[i] becomes row from[i]. */
NS_API ns_status ns_move_kv_rows(const ns_kv* kv, const int32_t* from, const int32_t* to, int32_t count);

#ifdef __cplusplus
}
#endif

#endif
