// Conformance and benchmark of the kernels by CUDA's driver: on a part, or on the emulated driver (NATIVESPEC_CUDA_LIBRARY). FOLDER has the PTX.
//     cuda_check FOLDER conformance        cuda_check FOLDER small [KERNEL]        cuda_check FOLDER bench|kernels 8b|1b|tiny [bf16|q8|q4 ...]
//     cuda_check FOLDER profile 8b|1b|tiny FORMAT ROWS CONTEXT
//     cuda_check FOLDER fault: touches what it may not; the driver must say so        cuda_check FOLDER hold: takes all memory until its input ends
#include <string>

#include "cuda/bench.h"
#include "cuda/conformance.h"

namespace nativespec::cuda {
namespace {

void Run(const std::string& what, int count, char** arguments) {
  if (what == "small") {  // for the emulated driver, and for a sanitizer
    RunConformance(count > 3 ? arguments[3] : "");
    return;
  }
  if (what == "conformance") {
    large_cases = true;
    const uint64_t plain = RunConformance();
    std::printf("digest %016llx\n", static_cast<unsigned long long>(plain));
    if (HasDependentLaunch()) {
      dependent_launch = true;
      against_float64 = false;
      const uint64_t dependent = RunConformance();
      std::printf("digest %016llx with dependent launch\n", static_cast<unsigned long long>(dependent));
      CHECK(dependent == plain);
    }
    return;
  }
  if (what == "fault") {
    const DeviceArray<int32_t> tokens(std::vector<int32_t>{0});
    Launch(embed, 1, 1, 256, 0, EmbedArguments{nullptr, tokens.data(), nullptr, 4096, static_cast<int32_t>(Format::kF32), 1});
    Finish();
    std::printf("a kernel wrote to address 0, and nobody said so\n");
    return;
  }
  if (what == "hold") {
    std::printf("%zu MiB of the device's memory are taken\n", TakeAllMemory() >> 20);
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
    return;
  }
  const std::string size = arguments[3];
  const ModelShape shape = size == "8b"   ? ModelShape{32, 4096, 14336, 32, 8, 128, 128256}
                           : size == "1b" ? ModelShape{16, 2048, 8192, 32, 8, 64, 128256}
                                          : ModelShape{2, 128, 192, 4, 2, 32, 300};
  if (!Attends(shape.head_width, Format::kBF16)) {
    std::printf("not on this part, a block of which has %d bytes of shared memory\n", SharedBytesOfBlock());
    return;
  }
  auto format_of = [](const std::string& name) { return name == "bf16" ? Format::kBF16 : name == "q8" ? Format::kQ8 : Format::kQ4; };
  if (what == "profile") {
    Profile(shape, format_of(arguments[4]), std::atoi(arguments[5]), std::atoi(arguments[6]));
    return;
  }
  std::vector<Format> formats;
  for (int i = 4; i < count; ++i) {
    formats.push_back(format_of(arguments[i]));
  }
  if (formats.empty()) {
    formats = {Format::kBF16, Format::kQ8, Format::kQ4};
  }
  const BenchPlan plan = size == "tiny" ? BenchPlan{{1, 9}, {8}, {70}, {70}, {128}, 1}
                                        : BenchPlan{{1, 2, 4, 8, 9, 16, 17, 24, 32, 33, 48, 64}, {8, 64}, {128, 4096, 32768}, {1024, 8192, 32768}, {128, 512}, 21};
  Bench(shape, formats, plan, what == "bench");
}

}  // namespace
}  // namespace nativespec::cuda

int main(int count, char** arguments) {
  using namespace nativespec::cuda;
  const std::string what = count > 2 ? arguments[2] : "", size = count > 3 ? arguments[3] : "";
  const bool sized = size == "8b" || size == "1b" || size == "tiny";
  const bool is_use = what == "conformance" || what == "small" || what == "fault" || what == "hold" || (sized && (what == "bench" || what == "kernels" || (what == "profile" && count == 7)));
  if (!is_use) {
    std::printf("usage: cuda_check FOLDER conformance | small [KERNEL] | bench|kernels 8b|1b|tiny [FORMAT ...] | profile 8b|1b|tiny FORMAT ROWS CONTEXT | fault | hold\n");
    return 2;
  }
  const std::string device = Open(arguments[1]);
  std::printf("%s, sm_%d, %d multiprocessors\n", device.c_str(), Capability(), Multiprocessors());
  bool known = true;
  try {
    Run(what, count, arguments);
  } catch (const std::invalid_argument& error) {
    std::printf("%s\n", error.what());
    known = false;
  }
  Close();
  return known ? check::Result() : 2;
}
