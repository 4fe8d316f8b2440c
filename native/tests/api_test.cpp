// What the interface refuses, and that it says why.
#include "check.h"
#include "steps.h"

namespace {

void Versions() {
  int32_t part, batch, kv, step;
  ns_struct_sizes(&part, &batch, &kv, &step);
  CHECK(ns_abi_version() == NS_ABI_VERSION);
  CHECK(part == sizeof(ns_part) && batch == sizeof(ns_batch) && kv == sizeof(ns_kv) && step == sizeof(ns_step));
}

void Levels() {
  CHECK(std::strcmp(ns_level_name(0), "generic") == 0);
  CHECK(ns_level_runs(0) == 1 && ns_level_runs(ns_default_level()) == 1);
  CHECK(std::strcmp(ns_level_name(ns_default_level()), "avx512bf16") != 0);
  CHECK(ns_level_name(-1) == nullptr && ns_level_name(100) == nullptr && ns_level_runs(100) == 0);
}

void Backends() {
  ns_backend* backend = nullptr;
  CHECK(ns_backend_create(0, 0, &backend) == NS_INVALID_ARGUMENT);
  CHECK(ns_backend_create(257, 0, &backend) == NS_INVALID_ARGUMENT);
  CHECK(ns_backend_create(1, 100, &backend) == NS_OUT_OF_RANGE);
  CHECK(std::strstr(ns_last_error(), "100") != nullptr);
  CHECK(backend == nullptr);
  ns_backend_destroy(nullptr);
}

void Weights(ns_backend* backend) {
  const std::vector<float> values(8);
  ns_weight* weight = nullptr;
  ns_part part{values.data(), 2, NS_F32, 0};
  CHECK(ns_weight_create(backend, &part, 0, 4, nullptr, NS_AS_STORED, &weight) == NS_INVALID_ARGUMENT);
  CHECK(ns_weight_create(backend, &part, 1, 0, nullptr, NS_AS_STORED, &weight) == NS_INVALID_ARGUMENT);
  CHECK(ns_weight_create(backend, &part, 1, 4, nullptr, 5, &weight) == NS_INVALID_ARGUMENT);
  for (const ns_part broken : {ns_part{nullptr, 2, NS_F32, 0}, ns_part{values.data(), 0, NS_F32, 0}, ns_part{values.data(), INT64_MAX, NS_F32, 0},
                               ns_part{values.data(), 2, 3, 0}, ns_part{values.data(), 2, -1, 0}}) {
    CHECK(ns_weight_create(backend, &broken, 1, 4, nullptr, NS_AS_STORED, &weight) == NS_INVALID_ARGUMENT);
    CHECK(std::strstr(ns_last_error(), "part 0") != nullptr);
  }
  CHECK(weight == nullptr);
  CHECK(ns_backend_set_smallest_chunk(backend, 0) == NS_INVALID_ARGUMENT && ns_backend_set_smallest_chunk(nullptr, 1) == NS_INVALID_ARGUMENT);
  CHECK(ns_packed_bytes(32, 128, NS_Q8) == 4224 && ns_packed_bytes(33, 129, NS_Q4) == 4 * 2304);
  CHECK(ns_packed_bytes(0, 128, NS_Q8) == -1 && ns_packed_bytes(16, 128, NS_AS_STORED) == -1);
  CHECK(ns_weight_from_packed(values.data(), 2111, 16, 128, nullptr, NS_Q8, &weight) == NS_INVALID_ARGUMENT);
  CHECK(std::strstr(ns_last_error(), "4224") != nullptr);
  std::vector<uint8_t> packed(4224);
  CHECK(ns_quantize(backend, &part, 1, 4, NS_Q8, packed.data(), 100) == NS_INVALID_ARGUMENT);
  ns_weight_destroy(nullptr);
}

/// Indices that would reach past an array.
void Indices(ns_backend* backend) {
  std::vector<float> cache(2 * 64 * 8), qkv(24), y(8), ones(4, 1);
  const ns_kv kv{cache.data(), 64, 1, 1, 1, 8, NS_F32, 0};
  int32_t position = 0, kv_row = 0, trunk = 1, page_start = 0, page = 0, path_start = 0, path_row = 0;
  ns_batch batch{};
  batch.positions = &position;
  batch.kv_rows = &kv_row;
  batch.trunk = &trunk;
  batch.page_start = &page_start;
  batch.pages = &page;
  batch.path_start = &path_start;
  batch.path_rows = &path_row;
  batch.cos = batch.sin = ones.data();
  batch.angle_positions = 1;
  batch.rows = batch.page_count = batch.path_count = 1;
  const auto attend = [&] { return steps::Attend(backend, &batch, qkv.data(), &kv, 0, y.data()); };
  CHECK_OK(steps::Rope(backend, &batch, qkv.data(), &kv, 0));
  CHECK_OK(attend());

  const auto refused = [&](int32_t& field, std::initializer_list<int32_t> values) {
    const int32_t good = field;
    for (const int32_t value : values) {
      field = value;
      CHECK(attend() == NS_OUT_OF_RANGE);
    }
    field = good;
  };
  refused(position, {-1, 5, 64, INT32_MAX});
  refused(trunk, {-1});
  refused(page_start, {-1, 1, INT32_MAX});
  refused(page, {-1, 1, INT32_MAX});
  refused(path_start, {-1, 2, INT32_MAX});
  refused(path_row, {-1, 64});

  for (const int32_t value : {-1, 1, INT32_MAX}) {
    position = value;
    CHECK(steps::Rope(backend, &batch, qkv.data(), &kv, 0) == NS_OUT_OF_RANGE);
    CHECK_OK(steps::Rope(backend, &batch, qkv.data(), &kv, 0, {0}));  // nothing turns
  }
  position = 0;

  kv_row = 64;
  CHECK(steps::Rope(backend, &batch, qkv.data(), &kv, 0) == NS_OUT_OF_RANGE);
  CHECK(steps::Rope(backend, &batch, qkv.data(), &kv, 1) == NS_OUT_OF_RANGE);
  CHECK(ns_move_kv_rows(&kv, &kv_row, &position, 1) == NS_OUT_OF_RANGE);
  ns_kv odd = kv;
  odd.head_dim = 7;
  CHECK(steps::Attend(backend, &batch, qkv.data(), &odd, 0, y.data()) == NS_INVALID_ARGUMENT);
  batch.logit_rows = &kv_row;
  batch.logit_count = 1;
  CHECK(steps::Gather(backend, &batch, y.data(), y.data(), 8) == NS_OUT_OF_RANGE);
  CHECK(steps::Project(backend, nullptr, y.data(), y.data(), 1) == NS_INVALID_ARGUMENT);
}

/// What a program refuses, and where it stops when it is cancelled.
void Programs(ns_backend* backend) {
  std::vector<float> x{1, 2, 3, 4}, y(4), gain(4, 1);
  ns_step norm = steps::Step(NS_NORM, x.data(), y.data());
  norm.gain = gain.data();
  norm.width = 4;
  const ns_step layer = steps::Step(NS_LAYER, nullptr, nullptr), list[] = {layer, norm};
  const ns_room room{1, 0, nullptr, nullptr};
  ns_program* program = nullptr;
  CHECK(ns_program_create(backend, list, -1, &room, &program) == NS_INVALID_ARGUMENT);
  CHECK(ns_program_create(nullptr, list, 2, &room, &program) == NS_INVALID_ARGUMENT);
  for (const int32_t kind : {-1, 7}) {
    const ns_step broken = steps::Step(kind, x.data(), y.data());
    CHECK(ns_program_create(backend, &broken, 1, &room, &program) == NS_INVALID_ARGUMENT);
  }
  ns_step unnormed = steps::Step(NS_PROJECT, x.data(), y.data());
  CHECK(ns_program_create(backend, &unnormed, 1, &room, &program) == NS_INVALID_ARGUMENT);
  CHECK(program == nullptr);

  CHECK_OK(ns_program_create(backend, list, 2, &room, &program));
  ns_batch batch = steps::Rows(2);
  CHECK(ns_program_run(program, &batch, nullptr, nullptr) == NS_OUT_OF_RANGE);
  batch.rows = 1;
  int32_t cancelled = 1;
  CHECK(ns_program_run(program, &batch, nullptr, &cancelled) == NS_CANCELLED && y[3] == 0);
  cancelled = 0;
  CHECK_OK(ns_program_run(program, &batch, nullptr, &cancelled));
  CHECK(y[3] > 1);
  ns_program_destroy(program);
  ns_program_destroy(nullptr);
}

}  // namespace

int main() {
  Versions();
  Levels();
  Backends();
  ns_backend* backend;
  CHECK_OK(ns_backend_create(2, ns_default_level(), &backend));
  Weights(backend);
  Indices(backend);
  Programs(backend);
  ns_backend_destroy(backend);
  return check::Result();
}
