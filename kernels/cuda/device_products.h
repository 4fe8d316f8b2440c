// Matrix instructions of a warp and of four warps; device.h includes it.
#pragma once

namespace nativespec::cuda {

// ---- matrices ----
/// c[16, 8] += a[16, 16] b[16, 8]: lane 4g + t holds of c rows g and g + 8 (elements 0, 1 and 2, 3), columns 2t and 2t + 1.
template <bool BF16>
NS_DEVICE void MatrixMultiplyAdd(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (BF16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}
/// Four 8×8 matrices; lane 8i + r names row r (16 bytes) of matrix i; lane 4g + t gets elements 2t, 2t + 1 of row g of each.
NS_DEVICE void LoadMatrices(uint32_t (&m)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(SharedAddress(row)));
}
/// The same with each matrix transposed.
NS_DEVICE void LoadMatricesTransposed(uint32_t (&m)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(SharedAddress(row)));
}

// ---- four warps together: c[64, 8 N] += a[64, 16] b[16, 8 N], a in registers, b in shared memory, asynchronous ----
/// b as 8×8 matrices of 128 bytes (a column's 8 values of k are 16 bytes): matrices along k are 128 bytes apart, along columns 512.
NS_DEVICE uint64_t GroupMatrix(const void* shared) {
  return (uint64_t)((SharedAddress(shared) & 0x3ffff) >> 4) | (uint64_t)(128 >> 4) << 16 | (uint64_t)(512 >> 4) << 32;
}
/// The same matrix so many bytes on.
NS_DEVICE uint64_t GroupMatrixAt(uint64_t matrix, int bytes) { return matrix + (uint64_t)(bytes >> 4); }
NS_DEVICE void GroupFence() {
#if NS_SM90A
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
NS_DEVICE void GroupCommit() {
#if NS_SM90A
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
template <int Groups>
NS_DEVICE void GroupWait() {
#if NS_SM90A
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Groups) : "memory");
#endif
}

#if NS_SM90A
#define NS_C(i) "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3])
#define NS_GROUP_MULTIPLY(n, type, list, a0, a1, a2, a3, d, ...)                                                                          \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, 1, 0; wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." type "." type " {" list "}, {" a0   \
               "," a1 "," a2 "," a3 "}, " d ", p, 1, 1, 0; }"                                                                             \
               : __VA_ARGS__                                                                                                              \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
#define NS_LIST8 "%0,%1,%2,%3"
#define NS_LIST16 NS_LIST8 ",%4,%5,%6,%7"
#define NS_LIST32 NS_LIST16 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define NS_LIST64 NS_LIST32 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#endif

template <bool BF16, int N>
NS_DEVICE void GroupMultiplyAdd(float (&c)[N][4], const uint32_t (&a)[4], uint64_t b) {
#if NS_SM90A
  if constexpr (N == 1 && BF16) {
    NS_GROUP_MULTIPLY(8, "bf16", NS_LIST8, "%4", "%5", "%6", "%7", "%8", NS_C(0));
  } else if constexpr (N == 1) {
    NS_GROUP_MULTIPLY(8, "f16", NS_LIST8, "%4", "%5", "%6", "%7", "%8", NS_C(0));
  } else if constexpr (N == 2 && BF16) {
    NS_GROUP_MULTIPLY(16, "bf16", NS_LIST16, "%8", "%9", "%10", "%11", "%12", NS_C(0), NS_C(1));
  } else if constexpr (N == 2) {
    NS_GROUP_MULTIPLY(16, "f16", NS_LIST16, "%8", "%9", "%10", "%11", "%12", NS_C(0), NS_C(1));
  } else if constexpr (N == 4 && BF16) {
    NS_GROUP_MULTIPLY(32, "bf16", NS_LIST32, "%16", "%17", "%18", "%19", "%20", NS_C(0), NS_C(1), NS_C(2), NS_C(3));
  } else if constexpr (N == 4) {
    NS_GROUP_MULTIPLY(32, "f16", NS_LIST32, "%16", "%17", "%18", "%19", "%20", NS_C(0), NS_C(1), NS_C(2), NS_C(3));
  } else if constexpr (N == 8 && BF16) {
    NS_GROUP_MULTIPLY(64, "bf16", NS_LIST64, "%32", "%33", "%34", "%35", "%36", NS_C(0), NS_C(1), NS_C(2), NS_C(3), NS_C(4), NS_C(5), NS_C(6),
                      NS_C(7));
  } else {
    static_assert(N == 8);
    NS_GROUP_MULTIPLY(64, "f16", NS_LIST64, "%32", "%33", "%34", "%35", "%36", NS_C(0), NS_C(1), NS_C(2), NS_C(3), NS_C(4), NS_C(5), NS_C(6),
                      NS_C(7));
  }
#endif
}

}  // namespace nativespec::cuda
