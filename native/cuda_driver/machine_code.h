// What machine code says of its kernels, checked against their twins: nothing of it is executed.
#pragma once

#include <map>
#include <string>

#include "ptx_image.h"

namespace nativespec::driver {

/// Whether an image begins as an ELF file.
bool IsMachineCode(const char* image);

/// The kernels of an ELF file for CUDA by their names. Returns 0, or the code it is refused with and why.
int ReadMachineCode(const char* image, int part, std::map<std::string, Kernel>* kernels, std::string* why);

}  // namespace nativespec::driver
