// Reads memory and does nothing else: the roofline that the matmuls of few tokens are measured against.
#include "level.h"
#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {

void Read(const void* arguments, int64_t begin, int64_t end) {
  constexpr int64_t kFarAhead = 16 * 1024, kNearAhead = 2048;  // bytes
  const auto& a = *static_cast<const ReadArguments*>(arguments);
  const float* data = a.data + begin * kReadFloats;
  const float* last = a.data + end * kReadFloats;
  Floats largest[4] = {Broadcast(0), Broadcast(0), Broadcast(0), Broadcast(0)};
  for (; data < last; data += 64) {
    NATIVESPEC_UNROLL
    for (int line = 0; line < 4; ++line) {
      PrefetchFar(data + line * 16 + kFarAhead / 4);
      PrefetchNear(data + line * 16 + kNearAhead / 4);
    }
    NATIVESPEC_UNROLL
    for (int i = 0; i < 64; i += kWidth) {
      // Whatever the bits, this is one cheap operation that the compiler cannot leave out.
      Floats& to = largest[i / kWidth % 4];
      to = Max(to, Load(data + i));
    }
  }
  float lanes[kWidth];
  Store(lanes, Max(Max(largest[0], largest[1]), Max(largest[2], largest[3])));
  for (const float lane : lanes) {
    if (lane == a.never) {
      *a.seen = lane;
    }
  }
}

}  // namespace nativespec::NATIVESPEC_LEVEL
