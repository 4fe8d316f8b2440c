#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>
#include <sys/mman.h>
#include <vector>

#include "../kernels/cpu/level.h"
#include "thread_team.h"

using namespace nativespec;
static double Now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

struct Matrix { int64_t out, in; uint8_t* data; };

static const uint8_t* base; static volatile uint64_t sink;
#include <immintrin.h>
static void ReadWork(const void* p, int64_t b, int64_t e) {
  const uint8_t* s = static_cast<const uint8_t*>(p);
  __m512i acc = _mm512_setzero_si512(), acc1 = acc, acc2 = acc, acc3 = acc;
  for (int64_t i = b * 65536; i < e * 65536; i += 256) {
    acc = _mm512_xor_si512(acc, _mm512_load_si512(s + i));
    acc1 = _mm512_xor_si512(acc1, _mm512_load_si512(s + i + 64));
    acc2 = _mm512_xor_si512(acc2, _mm512_load_si512(s + i + 128));
    acc3 = _mm512_xor_si512(acc3, _mm512_load_si512(s + i + 192));
  }
  sink = sink + _mm512_reduce_add_epi64(_mm512_xor_si512(_mm512_xor_si512(acc, acc1), _mm512_xor_si512(acc2, acc3)));
}

int main(int argc, char** argv) {
  int threads = 2, repeats = 5; bool small = false; int huge = 0; int layersOverride = 0;
  for (int i = 1; i < argc; ++i) {
    if (!strcmp(argv[i], "--threads")) threads = atoi(argv[++i]);
    if (!strcmp(argv[i], "--repeats")) repeats = atoi(argv[++i]);
    if (!strcmp(argv[i], "--110m")) small = true;
    if (!strcmp(argv[i], "--huge")) huge = 1;
    if (!strcmp(argv[i], "--layers")) layersOverride = atoi(argv[++i]);
  }
  std::vector<Matrix> ms;
  int layers = small ? 12 : 22; int64_t h = small ? 768 : 2048, f = small ? 2048 : 5632, kv = small ? 768 : 256;
  if (layersOverride) layers = layersOverride;
  for (int l = 0; l < layers; ++l) { ms.push_back({h + 2 * kv, h, 0}); ms.push_back({h, h, 0}); ms.push_back({2 * f, h, 0}); ms.push_back({h, f, 0}); }
  if (!layersOverride) ms.push_back({32000, h, 0});
  int64_t bytes = 0; for (auto& m : ms) bytes += m.out * m.in * 2;
  uint8_t* mem = (uint8_t*)mmap(0, bytes + (64 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (huge) madvise(mem, bytes + (64 << 20), MADV_HUGEPAGE); else madvise(mem, bytes + (64 << 20), MADV_NOHUGEPAGE);
  for (int64_t i = 0; i < bytes / 2; ++i) ((uint16_t*)mem)[i] = (uint16_t)(0x3c00 + ((i * 2654435761u) >> 20 & 0x1ff) + ((i * 40503u & 1) << 15));
  int64_t at = 0; for (auto& m : ms) { m.data = mem + at; at += m.out * m.in * 2; }
  ThreadTeam team(threads);
  int bits = getenv("BITS") ? atoi(getenv("BITS")) : 16;
  auto kernel = bits == 16 ? NATIVESPEC_LEVEL::FloatMatMul(ElementType::kBF16) : NATIVESPEC_LEVEL::QuantizedMatMul(bits);
  if (bits != 16) {
    uint8_t* packed = (uint8_t*)mmap(0, bytes + (64 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int64_t to = 0; double t0 = Now();
    for (auto& m : ms) { MatrixPart part{m.data, m.out, ElementType::kBF16}; QuantizeArguments q{&part, 1, m.in, packed + to}; team.Run(NATIVESPEC_LEVEL::QuantizeWork(bits), &q, m.out / 16, 4); m.data = packed + to; to += m.out / 16 * ((m.in + 127) / 128) * (bits == 8 ? 2112 : 1152); }
    printf("packed in %.2f s\n", Now() - t0); munmap(mem, bytes + (64 << 20)); mem = packed; bytes = to;
  }
  int64_t weights = 0; for (auto& m : ms) weights += m.out * m.in;
  std::vector<float> x(512 * 5632, 0.5f), y(512 * 32000);
  uint8_t* prep = (uint8_t*)aligned_alloc(64, 512 * 5632 * 4 + 4096);
  std::vector<int> ns = {1, 2, 4, 8, 12, 16, 32, 64}; if (getenv("NS")) { ns.clear(); char* q = strdup(getenv("NS")); for (char* t = strtok(q, ","); t; t = strtok(0, ",")) ns.push_back(atoi(t)); }
  std::vector<std::vector<double>> times(20);
  { double t0 = Now(); auto nop = [](const void*, int64_t, int64_t) {}; for (int i = 0; i < 20000; ++i) team.Run(nop, 0, 2, 1); printf("fork/join %.2f us\n", (Now() - t0) / 20000 * 1e6); }
  for (int r = 0; r < repeats; ++r) {
    double t0 = Now(); int64_t pages = bytes / 65536; team.Run(ReadWork, mem, pages, 16); times[19].push_back(Now() - t0);
    for (int c = 0; c < (int)ns.size(); ++c) {
      int n = ns[c]; if (n > 16 && r > 0 && !getenv("NS")) continue;
      t0 = Now();
      for (auto& m : ms) {
        PrepareArguments pa{x.data(), prep, m.in, n}; kernel.prepare(&pa, 0, n);
        MatMulArguments ma{m.data, prep, y.data(), nullptr, m.in, m.out, n, m.out, false};
        int64_t grain = kernel.outputs_per_tile == 24 ? std::max<int64_t>(24, 65536 / (m.in * 2) / 24 * 24) : 32;
        team.Run(kernel.work, &ma, m.out, grain);
      }
      times[c].push_back(Now() - t0);
    }
  }
  auto med = [](std::vector<double> v) { std::sort(v.begin(), v.end()); return v[v.size() / 2]; };
  double read = med(times[19]);
  printf("%.1f MB; read %.1f ms = %.1f GB/s\n", bytes / 1e6, read * 1e3, bytes / read / 1e9);
  for (int c = 0; c < (int)ns.size(); ++c) { double t = med(times[c]); auto mn=[](std::vector<double> v){return *std::min_element(v.begin(),v.end());}; printf("n=%2d %.2f ms  min %.2f ratio %.3f frac %.3f  T(n)/T(1) %.3f  %.1f GMAC/s\n", ns[c], t * 1e3, mn(times[c])*1e3, mn(times[c])/mn(times[0]), read / t, t / med(times[0]), (double)weights * ns[c] / t / 1e9); }
}
