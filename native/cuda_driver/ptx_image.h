// What a module's image, PTX or machine code, says of its kernels, checked against their twins: nothing is compiled from it.
#pragma once

#include <map>
#include <string>

#include "twins.h"

namespace nativespec::driver {

struct Kernel {
  const Twin* twin;
  int most_threads = 1024;          // .maxntid
  int most_dynamic_shared = 48 << 10;
};

/// The kernels of an image by their names. Returns 0, or the code an image is refused with and why.
int ReadImage(const char* image, int part, int driver_version, std::map<std::string, Kernel>* kernels, std::string* why);

}  // namespace nativespec::driver
