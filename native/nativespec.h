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
#define NS_ABI_VERSION 6

typedef int32_t ns_status;
enum { NS_OK = 0, NS_INVALID_ARGUMENT = 1, NS_OUT_OF_RANGE = 2, NS_OUT_OF_MEMORY = 3, NS_FAILED = 4, NS_CANCELLED = 5 };

/* Element types of weights and caches. */
enum { NS_F32 = 0, NS_F16 = 1, NS_BF16 = 2 };

/* How weights are held: as they lie, or packed (kernels/cpu/quantized.h has the layout). */
enum { NS_AS_STORED = 0, NS_Q8 = 8, NS_Q4 = 4 };

typedef struct ns_backend ns_backend;
typedef struct ns_weight ns_weight;
typedef struct ns_program ns_program;

/* Rows of a weight matrix where they lie: [rows, in]. They must outlive the weight, unless it is packed. */
typedef struct {
  const void* data;
  int64_t rows;
  int32_t type;
  int32_t reserved;
} ns_part;

/* One forward's rows; the fields are those of the managed RowBatch and of its angles. */
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
  const float* cos;          /* [positions, rotary_dim/2] of the rotation angles, by position */
  const float* sin;
  int32_t angle_positions;   /* positions that they are there for */
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

/* Kinds of steps; x, y and the other fields are those of ns_step. */
enum {
  NS_EMBED = 0,       /* y[row] = table[tokens[row]] * multiplier */
  NS_NORM = 1,        /* y[row] = x[row] / sqrt(mean(x[row]^2) + epsilon) * gain; y may be x */
  NS_PROJECT = 2,     /* p = (W x + bias) * multiplier, of x normed where there is a gain; then the epilogue */
  NS_ROPE_APPEND = 3, /* norms (where there are gains) and rotates the heads of q and k in x [rows, (heads + 2 kv_heads) head_dim]; k and v go to
                         the cache */
  NS_ATTEND = 4,      /* y [rows, heads head_dim]: softmax(q K^T scale) V over what each row sees, with a window the last positions of it */
  NS_GATHER = 5,      /* y[i] = x[logit_rows[i]] */
  NS_LAYER = 6        /* a layer begins: the cancellation is looked at */
};

/* What becomes of a projection p. */
enum {
  NS_STORE = 0,   /* y = p */
  NS_ADD = 1,     /* y += p */
  NS_SWIGLU = 2,  /* y = silu(gate) up, where p is gate then up */
  NS_ADD_SILU = 3 /* y += silu(p) */
};

/* Which rows of a batch a step is about. */
enum { NS_ALL_ROWS = 0, NS_LOGIT_ROWS = 1 };

/* One step of a forward. What a kind does not speak of is not looked at. */
typedef struct {
  int32_t kind;
  int32_t rows;
  int32_t epilogue;
  int32_t layer;
  const float* x;
  float* y;
  const ns_weight* weight;
  const float* gain; /* null for no norm */
  const float* q_gain; /* [head_dim] of a norm of each head of q; null for none */
  const float* k_gain;
  ns_part table;     /* one matrix [vocabulary, width] */
  int64_t width;     /* floats of a row of an embedding, a norm or a gathering */
  float epsilon;
  float multiplier;
  float scale;
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t rotary_dim; /* of a head, from its first element on: even; 0 rotates nothing */
  int32_t window;     /* positions that a row sees at most, its own the last; 0 for all */
} ns_step;

/* For how many rows the steps' memory has room, and memory to work in. */
typedef struct {
  int64_t rows;
  int64_t logit_rows;
  float* normed;    /* [rows, widest row that is normed before a projection], or null where none is */
  float* projected; /* [rows, widest projection with SwiGLU or SiLU after it], or null where there is none */
} ns_room;

NS_API int32_t ns_abi_version(void);

/* Sizes of ns_part, ns_batch, ns_kv and ns_step here, so that a caller with another idea of them finds out at load. */
NS_API void ns_struct_sizes(int32_t* part, int32_t* batch, int32_t* kv, int32_t* step);

/* The last failure on this thread; valid until the next. */
NS_API const char* ns_last_error(void);

/* Instruction-set levels built into this library: names from 0 on, null past the last. */
NS_API const char* ns_level_name(int32_t level);

/* 1 where this processor runs the level. */
NS_API int32_t ns_level_runs(int32_t level);

/* The level taken when none is asked for: the fastest that this processor runs and that leaves activations in F32. It is a function of the processor's
 * features, never of a measurement, because results differ between levels in their last bits. */
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

/* The values of a vector as F32: `rows` of the part are its elements. */
NS_API ns_status ns_to_floats(ns_backend* backend, const ns_part* vector, float* y);

/* A forward that one call runs. The steps are copied; what they point at must outlive the program. */
NS_API ns_status ns_program_create(ns_backend* backend, const ns_step* steps, int32_t count, const ns_room* room, ns_program** program);
NS_API void ns_program_destroy(ns_program* program);

/* Runs all steps for a batch. kv may be null where no step needs it, and cancelled where nobody cancels: else the run ends with NS_CANCELLED at
 * the first layer that finds it other than 0. */
NS_API ns_status ns_program_run(ns_program* program, const ns_batch* batch, const ns_kv* kv, const int32_t* cancelled);

/* c = a b, or c += a b when accumulate is not 0; c [m, n], all F32, rows as far apart as the strides say. a is [m, k], or [k, m] when a_by_columns
 * is not 0. b is [k, n] in panels of 64 columns: b[j / 64 * b_panel + i * b_stride + j % 64], so that a b_panel of 64 is row-major. Computes
 * on the calling thread alone, and several threads may compute with one backend at once. */
NS_API ns_status ns_gemm(const ns_backend* backend, int64_t m, int64_t n, int64_t k, const float* a, int64_t a_stride, int32_t a_by_columns,
                         const float* b, int64_t b_stride, int64_t b_panel, float* c, int64_t c_stride, int32_t accumulate);
/* For each i in turn, in every layer: cache row to[i] becomes row from[i]. */
NS_API ns_status ns_move_kv_rows(const ns_kv* kv, const int32_t* from, const int32_t* to, int32_t count);

#ifdef __cplusplus
}
#endif

#endif
