#include "program.h"

#include <cstring>

#include "status.h"

using namespace nativespec;

namespace nativespec {

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

}  // namespace nativespec

namespace {

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

ns_status CheckKvRows(const ns_batch& batch, int64_t cache_rows) {
  for (int32_t row = 0; row < batch.rows; ++row) {
    if (batch.kv_rows[row] < 0 || batch.kv_rows[row] >= cache_rows) {
      return Fail(NS_OUT_OF_RANGE, "cache row %d of %lld", batch.kv_rows[row], Print(cache_rows));
    }
  }
  return NS_OK;
}

/// Every row stands at a position with angles.
ns_status CheckAngles(const ns_batch& batch) {
  for (int32_t row = 0; row < batch.rows; ++row) {
    if (batch.positions[row] < 0 || batch.positions[row] >= batch.angle_positions) {
      return Fail(NS_OUT_OF_RANGE, "row %d at position %d; there are angles for %d", row, batch.positions[row], batch.angle_positions);
    }
  }
  return NS_OK;
}

ns_status CheckTokens(const ns_batch& batch, int64_t tokens) {
  for (int32_t row = 0; row < batch.rows; ++row) {
    if (batch.tokens[row] < 0 || batch.tokens[row] >= tokens) {
      return Fail(NS_OUT_OF_RANGE, "token %d of a vocabulary of %lld", batch.tokens[row], Print(tokens));
    }
  }
  return NS_OK;
}

ns_status CheckLogitRows(const ns_batch& batch) {
  for (int32_t i = 0; i < batch.logit_count; ++i) {
    if (batch.logit_rows[i] < 0 || batch.logit_rows[i] >= batch.rows) {
      return Fail(NS_OUT_OF_RANGE, "row %d of a batch of %d", batch.logit_rows[i], batch.rows);
    }
  }
  return NS_OK;
}

bool HasHeads(const ns_step& step) {
  return step.kv_heads >= 1 && step.heads >= step.kv_heads && step.heads % step.kv_heads == 0 && step.head_dim >= 2 && step.head_dim % 2 == 0;
}

/// What a step needs is there.
bool IsWhole(const ns_step& step, const ns_room& room) {
  if (step.rows != NS_ALL_ROWS && step.rows != NS_LOGIT_ROWS) {
    return false;
  }

  const bool reads = step.x != nullptr, writes = step.y != nullptr;
  switch (step.kind) {
    case NS_EMBED:
      return writes && Extent(step.width) && step.table.data != nullptr && Extent(step.table.rows) && step.table.type >= NS_F32 &&
             step.table.type <= NS_BF16;
    case NS_NORM: return reads && writes && step.gain != nullptr && Extent(step.width);
    case NS_PROJECT:
      return reads && writes && step.weight != nullptr && step.epilogue >= NS_STORE && step.epilogue <= NS_ADD_SILU &&
             (step.gain == nullptr || room.normed != nullptr) && (step.epilogue < NS_SWIGLU || room.projected != nullptr) &&
             (step.epilogue != NS_SWIGLU || step.weight->out % 2 == 0);
    case NS_ROPE_APPEND:
      return reads && HasHeads(step) && step.rotary_dim >= 0 && step.rotary_dim <= step.head_dim && step.rotary_dim % 2 == 0;
    case NS_ATTEND: return reads && writes && HasHeads(step) && step.window >= 0;
    case NS_GATHER: return reads && writes && Extent(step.width);
    default: return step.kind == NS_LAYER;
  }
}

}  // namespace

ns_status ns_program::Create(ns_backend* backend, const ns_step* steps, int32_t count, const ns_room& room, ns_program** program) {
  for (int32_t i = 0; i < count; ++i) {
    if (!IsWhole(steps[i], room)) {
      return Fail(NS_INVALID_ARGUMENT, "step %d of kind %d lacks something, or has what cannot be", i, steps[i].kind);
    }
  }

  auto made = std::make_unique<ns_program>();
  made->backend_ = backend;
  made->steps_.assign(steps, steps + count);
  made->room_ = room;
  *program = made.release();
  return NS_OK;
}

ns_status ns_program::Check(const ns_batch& batch, const ns_kv* kv) const {
  if (batch.rows < 0 || batch.rows > room_.rows || batch.logit_count < 0 || batch.logit_count > room_.logit_rows) {
    return Fail(NS_OUT_OF_RANGE, "a batch of %d rows, %d of them with logits; this program has room for %lld and %lld", batch.rows, batch.logit_count,
                Print(room_.rows), Print(room_.logit_rows));
  }

  ns_status status = NS_OK;
  bool rows_checked = false, sight_checked = false, logits_checked = false, angles_checked = false;
  for (const ns_step& step : steps_) {
    if (step.kind == NS_EMBED) {
      status = CheckTokens(batch, step.table.rows);
    } else if (step.kind == NS_GATHER && !logits_checked) {
      logits_checked = true;
      status = CheckLogitRows(batch);
    } else if (step.kind == NS_ROPE_APPEND || step.kind == NS_ATTEND) {
      status = CheckKv(kv, step.layer);
      if (status == NS_OK && (kv->heads != step.heads || kv->kv_heads != step.kv_heads || kv->head_dim != step.head_dim)) {
        status = Fail(NS_INVALID_ARGUMENT, "a cache of %d/%d heads of %d for a step of %d/%d of %d", kv->heads, kv->kv_heads, kv->head_dim, step.heads,
                      step.kv_heads, step.head_dim);
      }
      bool& checked = step.kind == NS_ATTEND ? sight_checked : rows_checked;
      if (status == NS_OK && !checked) {
        checked = true;
        status = step.kind == NS_ATTEND ? CheckSight(batch, kv->rows) : CheckKvRows(batch, kv->rows);
      }
      if (status == NS_OK && step.kind == NS_ROPE_APPEND && step.rotary_dim > 0 && !angles_checked) {
        angles_checked = true;
        status = CheckAngles(batch);
      }
    }
    if (status != NS_OK) {
      return status;
    }
  }
  return NS_OK;
}

ns_status ns_program::Run(const ns_batch& batch, const ns_kv* kv, const int32_t* cancelled) {
  if (const ns_status status = Check(batch, kv); status != NS_OK) {
    return status;
  }
  for (const ns_step& step : steps_) {
    if (step.kind != NS_LAYER) {
      Run(step, batch, kv);
    } else if (cancelled != nullptr && *static_cast<const volatile int32_t*>(cancelled) != 0) {
      return Fail(NS_CANCELLED, "cancelled");
    }
  }
  return NS_OK;
}

void ns_program::Run(const ns_step& step, const ns_batch& batch, const ns_kv* kv) {
  ns_backend& b = *backend_;
  const int64_t rows = step.rows == NS_ALL_ROWS ? batch.rows : batch.logit_count;
  switch (step.kind) {
    case NS_EMBED: {
      const EmbedArguments a{static_cast<const uint8_t*>(step.table.data), static_cast<ElementType>(step.table.type), batch.tokens, step.y, step.width,
                             step.multiplier};
      b.Run(b.operations.embed, &a, rows, step.width);
      break;
    }
    case NS_NORM: {
      const RmsNormArguments a{step.x, step.gain, step.y, step.width, step.epsilon};
      b.Run(b.operations.rms_norm, &a, rows, step.width);
      break;
    }
    case NS_PROJECT:
      b.Project({step.weight, step.x, step.y, rows, step.gain, step.epsilon, static_cast<Epilogue>(step.epilogue), step.multiplier, room_.normed,
                 room_.projected});
      break;
    case NS_ROPE_APPEND: {
      // Rotated in place, which is why the step's rows are read and written.
      const RopeArguments a{const_cast<float*>(step.x), Planes(*kv, step.layer), batch.cos, batch.sin, batch.positions, batch.kv_rows, step.heads, step.kv_heads, step.head_dim,
                            step.rotary_dim, step.q_gain, step.k_gain, step.epsilon};
      b.Run(b.operations.rope, &a, rows, int64_t{step.heads + 2 * step.kv_heads} * step.head_dim);
      break;
    }
    case NS_ATTEND: {
      TreeAttentionArguments a{};
      a.qkv = step.x;
      a.kv = Planes(*kv, step.layer);
      a.y = step.y;
      a.positions = batch.positions;
      a.trunk = batch.trunk;
      a.page_start = batch.page_start;
      a.pages = batch.pages;
      a.path_start = batch.path_start;
      a.path_rows = batch.path_rows;
      a.rows = rows;
      a.heads = step.heads;
      a.kv_heads = step.kv_heads;
      a.head_dim = step.head_dim;
      a.window = step.window;
      a.scale = step.scale;
      b.TreeAttention(a);
      break;
    }
    default:  // NS_GATHER
      for (int32_t i = 0; i < batch.logit_count; ++i) {
        std::memcpy(step.y + i * step.width, step.x + batch.logit_rows[i] * step.width, static_cast<size_t>(step.width) * sizeof(float));
      }
      break;
  }
}
