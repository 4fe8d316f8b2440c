// A forward as a list of steps, which one call runs.
#pragma once

#include <vector>

#include "backend.h"
#include "nativespec.h"

struct ns_program {
  /// Refuses steps that cannot be. The backend, the weights and all memory that the steps point at stay the caller's.
  static ns_status Create(ns_backend* backend, const ns_step* steps, int32_t count, const ns_room& room, ns_program** program);

  /// Refuses a batch that points outside what the steps read, then runs them.
  ns_status Run(const ns_batch& batch, const ns_kv* kv, const int32_t* cancelled);

 private:
  ns_status Check(const ns_batch& batch, const ns_kv* kv) const;
  void Run(const ns_step& step, const ns_batch& batch, const ns_kv* kv);

  ns_backend* backend_ = nullptr;
  std::vector<ns_step> steps_;
  ns_room room_{};
};

namespace nativespec {

ns_status CheckKv(const ns_kv* kv, int32_t layer);

/// One layer's keys and values.
KvPlanes Planes(const ns_kv& kv, int32_t layer);

}  // namespace nativespec
