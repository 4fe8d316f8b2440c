// Single steps of a forward, each as a program of its own: the way in which every operation is reached.
#pragma once

#include <cmath>

#include "../backend.h"
#include "../nativespec.h"

namespace steps {

inline ns_status Run(ns_backend* backend, const ns_step& step, const ns_batch& batch, const ns_kv* kv = nullptr, float* normed = nullptr,
                     float* projected = nullptr) {
  const ns_room room{batch.rows > 0 ? batch.rows : 1, batch.logit_count, normed, projected};
  ns_program* program = nullptr;
  if (const ns_status status = ns_program_create(backend, &step, 1, &room, &program); status != NS_OK) {
    return status;
  }
  const ns_status status = ns_program_run(program, &batch, kv, nullptr);
  ns_program_destroy(program);
  return status;
}

inline ns_step Step(int32_t kind, const float* x, float* y) {
  ns_step step{};
  step.kind = kind;
  step.x = x;
  step.y = y;
  step.multiplier = 1;
  return step;
}

inline ns_batch Rows(int64_t rows) {
  ns_batch batch{};
  batch.rows = static_cast<int32_t>(rows);
  return batch;
}

inline ns_status Norm(ns_backend* backend, const float* x, const float* gain, float epsilon, float* y, int64_t rows, int64_t width) {
  ns_step step = Step(NS_NORM, x, y);
  step.gain = gain;
  step.epsilon = epsilon;
  step.width = width;
  return Run(backend, step, Rows(rows));
}

inline ns_status Project(ns_backend* backend, const ns_weight* weight, const float* x, float* y, int64_t rows, int32_t epilogue = NS_STORE,
                         float* projected = nullptr, const float* gain = nullptr, float* normed = nullptr, float multiplier = 1) {
  ns_step step = Step(NS_PROJECT, x, y);
  step.weight = weight;
  step.epilogue = epilogue;
  step.gain = gain;
  step.epsilon = 1e-5f;
  step.multiplier = multiplier;
  return Run(backend, step, Rows(rows), nullptr, normed, projected);
}

inline ns_status Embed(ns_backend* backend, const ns_part* table, int64_t width, const ns_batch* batch, float* x, float multiplier = 1) {
  ns_step step = Step(NS_EMBED, nullptr, x);
  step.table = *table;
  step.width = width;
  step.multiplier = multiplier;
  return Run(backend, step, *batch);
}

/// What a family's attention has besides its heads.
struct Attention {
  int32_t rotary_dim;
  int32_t window = 0;
  const float* q_gain = nullptr;
  const float* k_gain = nullptr;
};

inline ns_step OfHeads(int32_t kind, const float* x, float* y, const ns_kv& kv, int32_t layer) {
  ns_step step = Step(kind, x, y);
  step.layer = layer;
  step.heads = kv.heads;
  step.kv_heads = kv.kv_heads;
  step.head_dim = kv.head_dim;
  step.rotary_dim = kv.head_dim;
  step.scale = 1.0f / std::sqrt(static_cast<float>(kv.head_dim));
  return step;
}

inline ns_status Rope(ns_backend* backend, const ns_batch* batch, float* qkv, const ns_kv* kv, int32_t layer, const Attention& attention) {
  ns_step step = OfHeads(NS_ROPE_APPEND, qkv, nullptr, *kv, layer);
  step.rotary_dim = attention.rotary_dim;
  step.q_gain = attention.q_gain;
  step.k_gain = attention.k_gain;
  step.epsilon = 1e-5f;
  return Run(backend, step, *batch, kv);
}

inline ns_status Rope(ns_backend* backend, const ns_batch* batch, float* qkv, const ns_kv* kv, int32_t layer) {
  return Rope(backend, batch, qkv, kv, layer, {kv->head_dim});
}

inline ns_status Attend(ns_backend* backend, const ns_batch* batch, const float* qkv, const ns_kv* kv, int32_t layer, float* y,
                        int32_t window = 0) {
  ns_step step = OfHeads(NS_ATTEND, qkv, y, *kv, layer);
  step.window = window;
  return Run(backend, step, *batch, kv);
}

inline ns_status Gather(ns_backend* backend, const ns_batch* batch, const float* x, float* y, int64_t width) {
  ns_step step = Step(NS_GATHER, x, y);
  step.rows = NS_LOGIT_ROWS;
  step.width = width;
  return Run(backend, step, *batch);
}

/// The kernel of an epilogue alone.
inline void SwiGlu(ns_backend* backend, const float* gate_up, float* y, int64_t rows, int64_t width) {
  const nativespec::SwiGluArguments a{gate_up, gate_up + width, y, 2 * width, width, width};
  backend->Run(backend->operations.swiglu, &a, rows * a.Pieces(), 8 * nativespec::kSwiGluColumns);
}

inline void AddSilu(ns_backend* backend, float* x, const float* y, int64_t rows, int64_t width) {
  const nativespec::AddSiluArguments a{x, y, width};
  backend->Run(backend->operations.add_silu, &a, rows, 8 * width);
}

}  // namespace steps
