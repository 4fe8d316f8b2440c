// Device memory and launches for the tests of the CUDA kernels: by CUDA's driver, on a part or on the emulated driver, or by the emulator itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../../../kernels/cuda/ring.h"

#if defined(NATIVESPEC_CUDA_DRIVER)
#include "driver_gpu.h"
#else
#include "emulated_gpu.h"
#endif
