// The twins on one emulated part; the build compiles this once for each.
#include <cstring>

#include "../../kernels/cuda/kernels.h"
#include "twins.h"

#define NS_JOIN(a, b) a##b
#define NS_NAME(name, part) NS_JOIN(name, part)
#define NS_TWIN(kernel, arguments)                                                                                       \
  {#kernel, sizeof(nativespec::cuda::arguments), [](const void* argument) {                                              \
     ::kernel(*static_cast<const nativespec::cuda::arguments*>(argument));                                               \
   }},

namespace nativespec::driver {

extern const Twin NS_NAME(twins, NATIVESPEC_CUDA_EMULATOR)[];
const Twin NS_NAME(twins, NATIVESPEC_CUDA_EMULATOR)[] = {NS_FOR_EACH_KERNEL(NS_TWIN){nullptr, 0, nullptr}};

}  // namespace nativespec::driver
