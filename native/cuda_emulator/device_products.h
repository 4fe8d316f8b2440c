// Matrix instructions of a warp and of four warps; device.h includes it.
#pragma once

namespace nativespec::cuda {

template <bool BF16>
inline void MatrixMultiplyAdd(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, NS_LINE) {
  uint8_t* in = emulator::Arrive(BF16 ? emulator::Meeting::kMatrixBF16 : emulator::Meeting::kMatrixF16, line);
  const uint32_t b[2] = {b0, b1};
  std::memcpy(in, a, 16);
  std::memcpy(in + 16, b, 8);
  std::memcpy(in + 24, c, 16);
  std::memcpy(c, emulator::Leave(), 16);
}
inline void LoadMatrices(uint32_t (&m)[4], const void* row, NS_LINE) {
  emulator::Aligned(row, 16);
  std::memcpy(emulator::Arrive(emulator::Meeting::kLoadMatrices, line), row, 16);
  std::memcpy(m, emulator::Leave(), 16);
}
inline void LoadMatricesTransposed(uint32_t (&m)[4], const void* row, NS_LINE) {
  emulator::Aligned(row, 16);
  std::memcpy(emulator::Arrive(emulator::Meeting::kLoadMatricesTransposed, line), row, 16);
  std::memcpy(m, emulator::Leave(), 16);
}

inline uint64_t GroupMatrix(const void* shared) { return reinterpret_cast<uint64_t>(shared); }
inline uint64_t GroupMatrixAt(uint64_t matrix, int bytes) { return matrix + static_cast<uint64_t>(bytes); }
inline void GroupFence() {}
inline void GroupCommit() { emulator::GroupCommit(); }
template <int Groups>
inline void GroupWait(NS_LINE) {
  emulator::GroupWait(Groups, line);
}
template <bool BF16, int N>
inline void GroupMultiplyAdd(float (&c)[N][4], const uint32_t (&a)[4], uint64_t b) {
  emulator::GroupProduct(BF16, N, &c[0][0], a, reinterpret_cast<const uint8_t*>(b));
}

}  // namespace nativespec::cuda
