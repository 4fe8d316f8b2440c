#include "dispatch.h"


#if defined(__x86_64__) || defined(_M_X64)
#define NATIVESPEC_X64
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

// What the levels' files define (kernels/cpu/level.h), by the names they were compiled with.
namespace nativespec {
namespace generic {
const Operations& Table();
}
#if defined(NATIVESPEC_HAS_X64)
namespace avx2 {
const Operations& Table();
}
namespace avx2vnni {
MatMulKernel QuantizedMatMul(int bits);
void Peak(const void* arguments, int64_t begin, int64_t end);
}
namespace avx512 {
const Operations& Table();
}
namespace avx512vnni {
MatMulKernel QuantizedMatMul(int bits);
void Peak(const void* arguments, int64_t begin, int64_t end);
}
namespace avx512bf16 {
MatMulKernel BF16DotMatMul();
}
#endif
#if defined(NATIVESPEC_HAS_NEON)
namespace neon {
const Operations& Table();
}
#endif
}  // namespace nativespec

namespace nativespec {
namespace {

/// What the processor can do, and the operating system lets it.
struct Features {
  bool avx2 = false;
  bool avx_vnni = false;
  bool avx512 = false;
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
};

#if defined(NATIVESPEC_X64)
struct Registers {
  uint32_t eax, ebx, ecx, edx;
};

Registers CpuId(uint32_t leaf, uint32_t subleaf) {
  Registers r{};
#if defined(_MSC_VER)
  int values[4];
  __cpuidex(values, static_cast<int>(leaf), static_cast<int>(subleaf));
  r = {static_cast<uint32_t>(values[0]), static_cast<uint32_t>(values[1]), static_cast<uint32_t>(values[2]), static_cast<uint32_t>(values[3])};
#else
  __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
#endif
  return r;
}

/// The register sets that the operating system saves (XCR0).
uint64_t SavedState() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
#endif
}

constexpr bool Bit(uint32_t value, int bit) { return (value >> bit & 1u) != 0; }

Features Detect() {
  Features f;
  const Registers first = CpuId(0, 0);
  const Registers basic = CpuId(1, 0);
  const bool saves = Bit(basic.ecx, 27);
  if (first.eax < 7 || !saves) {
    return f;
  }

  const uint64_t state = SavedState();
  const Registers wide = CpuId(7, 0), more = wide.eax >= 1 ? CpuId(7, 1) : Registers{};
  const bool ymm = (state & 0x6) == 0x6, zmm = (state & 0xE6) == 0xE6;
  f.avx2 = ymm && Bit(wide.ebx, 5) && Bit(basic.ecx, 12) /* FMA */ && Bit(basic.ecx, 29) /* F16C */;
  f.avx_vnni = f.avx2 && Bit(more.eax, 4);
  f.avx512 = f.avx2 && zmm && Bit(wide.ebx, 16) /* F */ && Bit(wide.ebx, 17) /* DQ */ && Bit(wide.ebx, 30) /* BW */ && Bit(wide.ebx, 31) /* VL */;
  f.avx512_vnni = f.avx512 && Bit(wide.ecx, 11);
  f.avx512_bf16 = f.avx512_vnni && Bit(more.eax, 5);
  return f;
}
#else
Features Detect() { return {}; }
#endif

const Features& Cpu() {
  static const Features features = Detect();
  return features;
}

#if defined(NATIVESPEC_HAS_X64)
Operations With(Operations base, const char* name, MatMulKernel (*quantized)(int), Work peak) {
  base.name = name;
  base.q8_matmul = quantized(8);
  base.q4_matmul = quantized(4);
  base.peak = peak;
  return base;
}

const Operations& Avx2Vnni() {
  static const Operations table = With(avx2::Table(), "avx2vnni", &avx2vnni::QuantizedMatMul, &avx2vnni::Peak);
  return table;
}

const Operations& Avx512Vnni() {
  static const Operations table = With(avx512::Table(), "avx512vnni", &avx512vnni::QuantizedMatMul, &avx512vnni::Peak);
  return table;
}

const Operations& Avx512BF16() {
  static const Operations table = [] {
    Operations made = Avx512Vnni();
    made.name = "avx512bf16";
    made.float_matmul[static_cast<int>(ElementType::kBF16)] = avx512bf16::BF16DotMatMul();
    return made;
  }();
  return table;
}
#endif

struct Level {
  const char* name;
  const Operations& (*table)();
  bool (*runs)();
  bool rounds_activations = false;
};

// The level with BF16 dot products rounds activations to 8 bits of precision, which no other does, and is taken only where it is asked for: a default
// must not decide by the processor how well a model predicts (docs/performance.md has what it costs and where it gains).
const Level kLevels[] = {
    {"generic", &generic::Table, [] { return true; }},
#if defined(NATIVESPEC_HAS_X64)
    {"avx2", &avx2::Table, [] { return Cpu().avx2; }},
    {"avx2vnni", &Avx2Vnni, [] { return Cpu().avx_vnni; }},
    {"avx512", &avx512::Table, [] { return Cpu().avx512; }},
    {"avx512vnni", &Avx512Vnni, [] { return Cpu().avx512_vnni; }},
    {"avx512bf16", &Avx512BF16, [] { return Cpu().avx512_bf16; }, true},
#endif
#if defined(NATIVESPEC_HAS_NEON)
    {"neon", &neon::Table, [] { return true; }},
#endif
};

}  // namespace

int LevelCount() { return static_cast<int>(sizeof kLevels / sizeof kLevels[0]); }

const char* LevelName(int level) { return kLevels[level].name; }

bool LevelRuns(int level) { return kLevels[level].runs(); }

int DefaultLevel() {
  for (int level = LevelCount() - 1; level > 0; --level) {
    if (LevelRuns(level) && !kLevels[level].rounds_activations) {
      return level;
    }
  }
  return 0;
}

const Operations& LevelOperations(int level) { return kLevels[level].table(); }

}  // namespace nativespec
