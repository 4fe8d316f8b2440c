// Where a thread is, and how threads wait for each other and exchange values; device.h includes it.
#pragma once

namespace nativespec::cuda {

struct WordAndLane {
  uint32_t word, lane;
};

inline int ThreadIndex() { return emulator::Here().thread; }
inline int BlockThreads() { return emulator::Here().threads; }
inline int BlockIndex() { return emulator::Here().block_x; }
inline int BlockIndexY() { return emulator::Here().block_y; }
inline int Blocks() { return emulator::Here().blocks; }
inline int Lane() { return ThreadIndex() & 31; }
inline int Warp() { return ThreadIndex() >> 5; }
inline uint8_t* SharedMemory() { return emulator::Here().shared; }

inline void SyncThreads() { emulator::SyncThreads(); }
inline void SyncWarp(NS_LINE) {
  emulator::Arrive(emulator::Meeting::kSync, line);
  emulator::Leave();
}
inline uint32_t ShuffleXor(uint32_t value, int lanes, NS_LINE) {
  return emulator::Meet<uint32_t>(emulator::Meeting::kShuffleXor, line, WordAndLane{value, static_cast<uint32_t>(lanes)});
}
inline float ShuffleXor(float value, int lanes, NS_LINE) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  bits = ShuffleXor(bits, lanes, line);
  std::memcpy(&value, &bits, 4);
  return value;
}
inline uint64_t ShuffleXor(uint64_t value, int lanes, NS_LINE) {
  return static_cast<uint64_t>(ShuffleXor(static_cast<uint32_t>(value >> 32), lanes, line)) << 32 | ShuffleXor(static_cast<uint32_t>(value), lanes, line);
}
inline uint32_t ShuffleFrom(uint32_t value, int lane, NS_LINE) {
  return emulator::Meet<uint32_t>(emulator::Meeting::kShuffleFrom, line, WordAndLane{value, static_cast<uint32_t>(lane)});
}
inline bool Any(bool value, NS_LINE) { return emulator::Meet<uint32_t>(emulator::Meeting::kAny, line, static_cast<uint32_t>(value)) != 0; }
inline void WaitForKernelInFront() {}
inline void AllowKernelBehind() {}

}  // namespace nativespec::cuda
