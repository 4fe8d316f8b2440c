#include "twins.h"

namespace nativespec::driver {

extern const Twin twins80[], twins90[];

const Twin* FindTwin(int part, const std::string& name) {
  for (const Twin* twin = part == 80 ? twins80 : twins90; twin->name != nullptr; ++twin) {
    if (name == twin->name) {
      return twin;
    }
  }
  return nullptr;
}

}  // namespace nativespec::driver
