// Conformance and benchmark on a real part, by nvcc:
//     nvcc -std=c++20 -O3 -gencode=arch=compute_90a,code=sm_90a native/tests/cuda/device.cu kernels/cuda/*.cu -o device
//     ./device conformance        ./device small [KERNEL]        ./device bench|kernels [bf16|q8|q4 ...]        ./device profile q4 64 4096
#include "bench.h"
#include "conformance.h"

int main(int count, char** arguments) {
  using namespace nativespec::cuda;
  cudaDeviceProp properties;
  CHECK_CUDA(cudaGetDeviceProperties(&properties, 0));
  CHECK_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  std::printf("%s, %d multiprocessors\n", properties.name, properties.multiProcessorCount);
  const std::string what = count > 1 ? arguments[1] : "conformance";
  if (what == "small") {  // for a sanitizer
    RunConformance(count > 2 ? arguments[2] : "");
    return check::Result();
  }
  if (what == "conformance") {
    large_cases = true;
    std::printf("digest %016llx\n", static_cast<unsigned long long>(RunConformance()));
    dependent_launch = true;
    std::printf("digest %016llx with dependent launch\n", static_cast<unsigned long long>(RunConformance()));
    return check::Result();
  }
  std::vector<Format> formats;
  for (int i = 2; i < (what == "profile" ? 3 : count); ++i) {
    const std::string name = arguments[i];
    formats.push_back(name == "bf16" ? Format::kBF16 : name == "q8" ? Format::kQ8 : Format::kQ4);
  }
  if (formats.empty()) {
    formats = {Format::kBF16, Format::kQ8, Format::kQ4};
  }
  if (what == "profile") {
    Profile({32, 4096, 14336, 32, 8, 128, 128256}, formats[0], std::atoi(arguments[3]), std::atoi(arguments[4]));
    return 0;
  }
  Bench({32, 4096, 14336, 32, 8, 128, 128256}, formats, {128, 4096}, {1024, 8192, 32768}, what == "bench", 11);
  return 0;
}
