// The emulated driver as a program sees it that knows nothing of the emulator: what CUDA's driver API promises, refuses and does to who breaks its rules.
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

extern "C" {
int cuInit(unsigned);
int cuDeviceGetAttribute(int*, int, int);
int cuDevicePrimaryCtxRetain(void**, int);
int cuDevicePrimaryCtxRelease_v2(int);
int cuCtxSetCurrent(void*);
int cuMemAlloc_v2(uint64_t*, size_t);
int cuMemFree_v2(uint64_t);
int cuMemGetInfo_v2(size_t*, size_t*);
int cuMemHostAlloc(void**, size_t, unsigned);
int cuMemFreeHost(void*);
int cuMemcpyHtoDAsync_v2(uint64_t, const void*, size_t, void*);
int cuMemcpyDtoHAsync_v2(void*, uint64_t, size_t, void*);
int cuMemsetD8Async(uint64_t, unsigned char, size_t, void*);
int cuStreamCreate(void**, unsigned);
int cuStreamDestroy_v2(void*);
int cuStreamSynchronize(void*);
int cuStreamQuery(void*);
int cuStreamBeginCapture_v2(void*, int);
int cuStreamEndCapture(void*, void**);
int cuGraphInstantiateWithFlags(void**, void*, unsigned long long);
int cuGraphLaunch(void*, void*);
int cuGraphExecDestroy(void*);
int cuGraphDestroy(void*);
int cuEventCreate(void**, unsigned);
int cuEventDestroy_v2(void*);
int cuEventRecord(void*, void*);
int cuEventQuery(void*);
int cuModuleLoadDataEx(void**, const void*, unsigned, int*, void**);
int cuModuleUnload(void*);
int cuModuleGetFunction(void**, void*, const char*);
int cuFuncGetAttribute(int*, int, void*);
int cuFuncSetAttribute(void*, int, int);
int cuLaunchKernel(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**);
int nativespecCudaConfigure(const char*, const char*);
int nativespecCudaProblems(char*, int);
int64_t nativespecCudaCount(const char*);
}

namespace {

constexpr int kThreadLocal = 1;

/// Arguments of embed, as kernels/cuda/operations.h has them.
struct Embed {
  uint64_t table, tokens, x;
  int32_t width, format;
  float scale;
};

std::string Ptx(const std::string& version, const std::string& target, const std::string& entry, int bytes) {
  return ".version " + version + "\n.target " + target + "\n.address_size 64\n// .entry not_this(\n.visible .entry " + entry + "(\n.param .align 8 .b8 " + entry + "_param_0[" + std::to_string(bytes) +
         "]\n)\n.maxntid 256, 1, 1\n{\nret;\n}\n";
}

/// Machine code as far as a driver's twins ask: ELF's header, and sections for names and for what one kernel says of itself.
std::string MachineCode(int flags, const std::string& kernel, int bytes, uint16_t machine = 190) {
  const std::string names = std::string("\0.shstrtab\0", 11) + ".nv.info." + kernel + std::string(1, 0);
  const char info[] = {4, 0x05, 12, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 3, 0x19, static_cast<char>(bytes), 0};  // at most 256 threads; so many bytes of arguments
  constexpr size_t kHeader = 64, kSections = 3;
  std::string image(kHeader * (1 + kSections), 0);
  auto put = [&](size_t at, auto value) { std::memcpy(&image[at], &value, sizeof value); };
  image.replace(0, 9, std::string("\x7f" "ELF\2\1\1\x33\x07", 9));
  put(18, machine);
  put(40, uint64_t{kHeader});
  put(48, static_cast<uint32_t>(flags));
  put(58, uint16_t{kHeader});
  put(60, uint16_t{kSections});
  put(62, uint16_t{1});
  auto section = [&](size_t number, uint32_t name, uint64_t at, uint64_t size) {
    put(kHeader * (1 + number), name);
    put(kHeader * (1 + number) + 24, at);
    put(kHeader * (1 + number) + 32, size);
  };
  section(1, 1, image.size(), names.size());
  section(2, 11, image.size() + names.size(), sizeof info);
  return image + names + std::string(info, sizeof info);
}

int Load(void** module, const std::string& image, std::string* log = nullptr) {
  char text[512] = "";
  int options[] = {5, 6};
  void* values[] = {text, reinterpret_cast<void*>(sizeof text)};
  const int code = cuModuleLoadDataEx(module, image.c_str(), 2, options, values);
  if (log != nullptr) {
    *log = text;
  }
  return code;
}

/// A context with a stream, two vectors and the kernel between them.
struct Program {
  void *context = nullptr, *stream = nullptr, *module = nullptr, *embed = nullptr, *host = nullptr;
  uint64_t table = 0, tokens = 0, x = 0;
  static constexpr int kWidth = 64, kRows = 4, kBytes = kWidth * 4;

  /// The first code that is not 0.
  int Open() {
    int code = cuDevicePrimaryCtxRetain(&context, 0);
    auto then = [&](auto call) { code = code != 0 ? code : call(); };
    then([&] { return cuCtxSetCurrent(context); });
    then([&] { return cuStreamCreate(&stream, 1); });
    then([&] { return Load(&module, Ptx("7.1", "sm_80", "embed", 40)); });
    then([&] { return cuModuleGetFunction(&embed, module, "embed"); });
    then([&] { return cuMemAlloc_v2(&table, kRows * kBytes); });
    then([&] { return cuMemAlloc_v2(&tokens, 4); });
    then([&] { return cuMemAlloc_v2(&x, kBytes); });
    then([&] { return cuMemHostAlloc(&host, kBytes, 0); });
    return code;
  }
  int Launch(uint64_t its_table, unsigned threads = 256, unsigned shared = 0) {
    Embed arguments{its_table, tokens, x, kWidth, 0, 2};
    void* list[] = {&arguments};
    const int code = cuLaunchKernel(embed, 1, 1, 1, threads, 1, 1, shared, stream, list, nullptr);
    arguments = {};  // they were taken at the launch
    return code;
  }
  /// Everything back, whatever state it is in.
  void Close() {
    for (const uint64_t address : {table, tokens, x}) {
      if (address != 0) {
        cuMemFree_v2(address);
      }
    }
    if (host != nullptr) {
      cuMemFreeHost(host);
    }
    if (module != nullptr) {
      cuModuleUnload(module);
    }
    if (stream != nullptr) {
      cuStreamDestroy_v2(stream);
    }
    if (context != nullptr) {
      CHECK(cuDevicePrimaryCtxRelease_v2(0) == 0);
    }
    *this = Program();
  }
};

int Problems() { return nativespecCudaProblems(nullptr, 0); }

void Upload(Program& p, uint64_t to, const void* from, size_t bytes) {
  CHECK(cuMemcpyHtoDAsync_v2(to, from, bytes, p.stream) == 0);  // not pinned: taken at once
}

void BeforeThereIsAContext() {
  uint64_t address;
  CHECK(cuMemAlloc_v2(&address, 16) == 3);
  CHECK(nativespecCudaConfigure("DEVICES", "0") == 1);
  CHECK(cuInit(0) == 100);
  CHECK(nativespecCudaConfigure("DEVICES", "1") == 1);
  CHECK(nativespecCudaConfigure("DEVICES", "many") == 0);
  CHECK(cuInit(0) == 0);
  CHECK(cuMemAlloc_v2(&address, 16) == 201);
}

void Images() {
  Program p;
  CHECK(p.Open() == 0);
  void* module;
  std::string log;
  CHECK(Load(&module, Ptx("7.1", "sm_80", "embed", 48), &log) == 218 && log.find("48 bytes") != std::string::npos);
  CHECK(Load(&module, Ptx("7.1", "sm_80", "no_such_kernel", 40), &log) == 218 && log.find("no_such_kernel") != std::string::npos);
  CHECK(Load(&module, Ptx("99.0", "sm_80", "embed", 40), &log) == 222);
  constexpr int kSm80 = 0x500550, kSm90 = 0x5a055a, kSm90a = 0x5a0d5a;
  CHECK(Load(&module, MachineCode(kSm80, "embed", 40), &log) == 209 && log.find("sm_80 on a part of sm_90") != std::string::npos);
  CHECK(Load(&module, MachineCode(kSm90, "embed", 48), &log) == 200 && log.find("48 bytes") != std::string::npos);
  CHECK(Load(&module, MachineCode(kSm90, "no_such_kernel", 40), &log) == 200 && log.find("no_such_kernel") != std::string::npos);
  CHECK(Load(&module, MachineCode(kSm90, "embed", 40, 62), &log) == 200 && log.find("none for CUDA") != std::string::npos);
  for (const int flags : {kSm90, kSm90a}) {
    int most = 0;
    void* embed;
    CHECK(Load(&module, MachineCode(flags, "embed", 40), &log) == 0);
    CHECK(cuModuleGetFunction(&embed, module, "embed") == 0 && cuFuncGetAttribute(&most, 0, embed) == 0 && most == 256);
    CHECK(cuModuleUnload(module) == 0);
  }
  CHECK(Load(&module, "not an image", &log) == 200);
  nativespecCudaConfigure("PART", "sm_80");
  CHECK(Load(&module, Ptx("8.0", "sm_90", "embed", 40), &log) == 218);
  CHECK(Load(&module, MachineCode(kSm90, "embed", 40), &log) == 209);
  CHECK(Load(&module, MachineCode(kSm80, "embed", 40), &log) == 0 && cuModuleUnload(module) == 0);
  nativespecCudaConfigure("PART", "sm_90");
  nativespecCudaConfigure("VERSION", "11010");
  CHECK(Load(&module, Ptx("8.0", "sm_90", "embed", 40), &log) == 222 && log.find("7.1") != std::string::npos);
  nativespecCudaConfigure("VERSION", "13000");
  void* function;
  CHECK(cuModuleGetFunction(&function, p.module, "matmul_q4_8") == 500);
  p.Close();
}

void WorkWaits() {
  Program p;
  CHECK(p.Open() == 0);
  std::vector<float> rows(Program::kWidth * Program::kRows);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = static_cast<float>(i);
  }
  const int token = 2;
  Upload(p, p.table, rows.data(), rows.size() * 4);
  Upload(p, p.tokens, &token, 4);
  std::memset(p.host, 7, Program::kBytes);
  auto* host = static_cast<float*>(p.host);
  const float before = host[0];
  CHECK(p.Launch(p.table) == 0);
  CHECK(cuMemcpyDtoHAsync_v2(p.host, p.x, Program::kBytes, p.stream) == 0);
  CHECK(host[0] == before);
  CHECK(cuStreamSynchronize(p.stream) == 0);
  CHECK(host[0] == 2.0f * 2 * Program::kWidth && host[63] == 2.0f * (2 * Program::kWidth + 63));

  // An event that is asked again and again is there at last.
  void* event;
  CHECK(cuEventCreate(&event, 2) == 0);
  CHECK(p.Launch(p.table) == 0);
  CHECK(cuEventRecord(event, p.stream) == 0);
  int asked = 0;
  while (cuEventQuery(event) == 600) {
    ++asked;
  }
  CHECK(asked > 0 && asked < 5 && cuStreamQuery(p.stream) == 0);
  CHECK(cuEventDestroy_v2(event) == 0);
  p.Close();
  CHECK(Problems() == 0);
}

void Graphs() {
  Program p;
  CHECK(p.Open() == 0);
  auto* host = static_cast<float*>(p.host);
  void *graph, *executable;
  int32_t tokens[1] = {0};
  std::vector<float> ones(Program::kWidth * Program::kRows, 1);
  Upload(p, p.table, ones.data(), ones.size() * 4);
  Upload(p, p.tokens, tokens, 4);
  const int64_t kernels = nativespecCudaCount("kernels");
  CHECK(cuStreamBeginCapture_v2(p.stream, kThreadLocal) == 0);
  CHECK(p.Launch(p.table) == 0);
  CHECK(cuMemcpyDtoHAsync_v2(p.host, p.x, Program::kBytes, p.stream) == 0);
  CHECK(cuStreamEndCapture(p.stream, &graph) == 0);
  CHECK(cuGraphInstantiateWithFlags(&executable, graph, 0) == 0);
  CHECK(cuGraphDestroy(graph) == 0);
  CHECK(cuStreamSynchronize(p.stream) == 0 && nativespecCudaCount("kernels") == kernels);  // nothing ran while it was captured
  for (int i = 0; i < 3; ++i) {
    host[5] = -1;
    CHECK(cuGraphLaunch(executable, p.stream) == 0);
    CHECK(host[5] == -1);
    CHECK(cuStreamSynchronize(p.stream) == 0);
    CHECK(host[5] == 2);
  }
  CHECK(nativespecCudaCount("kernels") == kernels + 3);
  CHECK(cuGraphExecDestroy(executable) == 0);

  // What a capture does not allow breaks it, and only it.
  CHECK(cuStreamBeginCapture_v2(p.stream, kThreadLocal) == 0);
  CHECK(cuStreamSynchronize(p.stream) == 900);
  CHECK(p.Launch(p.table) == 901);
  CHECK(cuStreamEndCapture(p.stream, &graph) == 901 && graph == nullptr);
  uint64_t address;
  CHECK(cuStreamBeginCapture_v2(p.stream, kThreadLocal) == 0);
  CHECK(cuMemAlloc_v2(&address, 64) == 900);
  CHECK(cuStreamEndCapture(p.stream, &graph) == 901);
  CHECK(cuStreamBeginCapture_v2(nullptr, kThreadLocal) == 906);
  CHECK(cuStreamSynchronize(p.stream) == 0);
  p.Close();
  CHECK(Problems() == 0);
}

void Limits() {
  Program p;
  CHECK(p.Open() == 0);
  const int before = Problems(), token = 0;
  Upload(p, p.tokens, &token, 4);
  CHECK(p.Launch(p.table, 257) == 701);
  CHECK(p.Launch(p.table, 256, 60 << 10) == 1);
  CHECK(cuFuncSetAttribute(p.embed, 8, 300 << 10) == 1);
  CHECK(cuFuncSetAttribute(p.embed, 8, 60 << 10) == 0);
  CHECK(p.Launch(p.table, 256, 60 << 10) == 0);
  CHECK(cuMemcpyDtoHAsync_v2(p.host, p.x, Program::kBytes + 1, p.stream) == 1);
  CHECK(cuMemsetD8Async(p.x + 1, 0, Program::kBytes, p.stream) == 1);
  CHECK(Problems() == before + 4);
  p.Close();
  size_t free = 0, total = 0;
  CHECK(p.Open() == 0);
  CHECK(cuMemGetInfo_v2(&free, &total) == 0 && free < total);
  uint64_t address;
  CHECK(cuMemAlloc_v2(&address, free + 1) == 2);
  CHECK(cuMemAlloc_v2(&address, free) == 0 && cuMemFree_v2(address) == 0);
  p.Close();
}

/// A fault ends the context and what is asked of it from then on; a new one is whole.
void Faults() {
  Program p;
  CHECK(p.Open() == 0);
  const int token = 1000000;  // past the table
  Upload(p, p.tokens, &token, 4);
  CHECK(p.Launch(p.table) == 0);
  std::memset(p.host, 7, Program::kBytes);
  const float before = *static_cast<float*>(p.host);
  CHECK(cuMemcpyDtoHAsync_v2(p.host, p.x, Program::kBytes, p.stream) == 0);
  CHECK(cuStreamSynchronize(p.stream) == 700);
  CHECK(*static_cast<float*>(p.host) == before);  // nothing after the fault is done
  CHECK(cuStreamSynchronize(p.stream) == 700 && p.Launch(p.table) == 700 && cuMemFree_v2(p.x) == 700);
  p.x = 0;
  p.Close();

  CHECK(p.Open() == 0);
  const uint64_t freed = p.table;
  CHECK(cuMemFree_v2(freed) == 0);
  p.table = 0;
  const int first = 0;
  Upload(p, p.tokens, &first, 4);
  CHECK(p.Launch(freed) == 0 && cuStreamSynchronize(p.stream) == 700);
  p.Close();

  CHECK(p.Open() == 0);
  CHECK(nativespecCudaConfigure("FAIL", "cuStreamSynchronize,2,719") == 1);
  CHECK(cuStreamSynchronize(p.stream) == 0 && cuStreamSynchronize(p.stream) == 719 && cuStreamSynchronize(p.stream) == 719);
  p.Close();
}

void TheHostReadsDeviceMemory() {
  Program p;
  CHECK(p.Open() == 0);
  const pid_t child = fork();
  if (child == 0) {
    static_cast<void>(*reinterpret_cast<volatile uint8_t*>(p.x));
    _exit(0);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && status != 0);
  p.Close();
}

void Leaks() {
  Program p;
  CHECK(p.Open() == 0);
  const int before = Problems();
  p.x = 0;  // forgotten
  p.Close();
  char text[4096];
  CHECK(nativespecCudaProblems(text, sizeof text) == before + 1 && std::string(text).find("256 bytes of device memory") != std::string::npos);
}

/// Programs that end at the first failure and give everything back: no fault makes them crash or leave something behind.
void RandomFaults() {
  const int before = Problems();
  int whole = 0;
  for (int seed = 0; seed < 400; ++seed) {
    CHECK(nativespecCudaConfigure("FAULTS", (std::to_string(seed) + ",0.03").c_str()) == 1);
    Program p;
    const int32_t token = 1;
    const std::vector<float> ones(Program::kWidth * Program::kRows, 1);
    int code = p.Open();
    auto then = [&](auto call) { code = code != 0 ? code : call(); };
    then([&] { return cuMemcpyHtoDAsync_v2(p.table, ones.data(), ones.size() * 4, p.stream); });
    then([&] { return cuMemcpyHtoDAsync_v2(p.tokens, &token, 4, p.stream); });
    then([&] { return p.Launch(p.table); });
    then([&] { return cuMemcpyDtoHAsync_v2(p.host, p.x, Program::kBytes, p.stream); });
    then([&] { return cuStreamSynchronize(p.stream); });
    if (code == 0) {
      CHECK(static_cast<float*>(p.host)[9] == 2);
      ++whole;
    }
    p.Close();
  }
  nativespecCudaConfigure("FAULTS", "0,0");
  CHECK(whole > 100 && whole < 350);
  CHECK(Problems() == before);
}

}  // namespace

int main() {
  BeforeThereIsAContext();
  Images();
  WorkWaits();
  Graphs();
  Limits();
  Faults();
  TheHostReadsDeviceMemory();
  Leaks();
  RandomFaults();
  return check::Result();
}
