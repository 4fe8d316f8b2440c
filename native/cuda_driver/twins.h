// The kernels compiled for the CPU, by the names their PTX has.
#pragma once

#include <cstddef>
#include <string>

namespace nativespec::driver {

/// A kernel's twin on the CPU. Every kernel has one argument, a structure.
struct Twin {
  const char* name;
  size_t argument_bytes;
  void (*run)(const void* argument);  // what one thread does
};

/// The twin on a part (80 or 90), or null.
const Twin* FindTwin(int part, const std::string& name);

}  // namespace nativespec::driver
