// Conformance and benchmark of the kernels by CUDA's driver: on a part, or on the emulated driver (NATIVESPEC_CUDA_LIBRARY). FOLDER has the PTX.
//     cuda_check FOLDER conformance        cuda_check FOLDER small [KERNEL]        cuda_check FOLDER bench|kernels [bf16|q8|q4 ...]
//     cuda_check FOLDER profile FORMAT ROWS CONTEXT        cuda_check FOLDER fault: touches what it may not; the driver must say so
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
  std::vector<Format> formats;
  for (int i = 3; i < (what == "profile" ? 4 : count); ++i) {
    const std::string name = arguments[i];
    formats.push_back(name == "bf16" ? Format::kBF16 : name == "q8" ? Format::kQ8 : Format::kQ4);
  }
  if (formats.empty()) {
    formats = {Format::kBF16, Format::kQ8, Format::kQ4};
  }
  const ModelShape shape{32, 4096, 14336, 32, 8, 128, 128256};
  if (what == "profile") {
    Profile(shape, formats[0], std::atoi(arguments[4]), std::atoi(arguments[5]));
  } else {
    Bench(shape, formats, {128, 4096}, {1024, 8192, 32768}, {128, 512}, what == "bench", 11);
  }
}

}  // namespace
}  // namespace nativespec::cuda

int main(int count, char** arguments) {
  using namespace nativespec::cuda;
  const std::string what = count > 2 ? arguments[2] : "";
  if (what != "conformance" && what != "small" && what != "bench" && what != "kernels" && what != "fault" && !(what == "profile" && count == 6)) {
    std::printf("usage: cuda_check FOLDER conformance | small [KERNEL] | bench [FORMAT ...] | kernels [FORMAT ...] | profile FORMAT ROWS CONTEXT | fault\n");
    return 2;
  }
  const std::string device = Open(arguments[1]);
  std::printf("%s, sm_%d, %d multiprocessors\n", device.c_str(), Capability(), Multiprocessors());
  Run(what, count, arguments);
  Close();
  return check::Result();
}
