#include "report.h"

#include <cstdio>
#include <mutex>
#include <vector>

namespace nativespec::driver {
namespace {

std::mutex mutex;
auto* problems = new std::vector<std::string>;  // outlives every other static object

}  // namespace

Counters counters;

void AddProblem(const std::string& text) {
  std::lock_guard<std::mutex> lock(mutex);
  problems->push_back(text);
  std::fprintf(stderr, "emulated driver: %s\n", text.c_str());
}

int Problems(std::string* text) {
  std::lock_guard<std::mutex> lock(mutex);
  text->clear();
  for (const std::string& problem : *problems) {
    *text += problem + "\n";
  }
  return static_cast<int>(problems->size());
}

void ForgetProblems() {
  std::lock_guard<std::mutex> lock(mutex);
  problems->clear();
}

int64_t Count(const std::string& name) {
  const struct {
    const char* name;
    const std::atomic<int64_t>* value;
  } all[] = {{"launches", &counters.launches},
             {"graph_launches", &counters.graph_launches},
             {"kernels", &counters.kernels},
             {"uploads", &counters.uploads},
             {"upload_bytes", &counters.upload_bytes},
             {"downloads", &counters.downloads},
             {"download_bytes", &counters.download_bytes},
             {"synchronizations", &counters.synchronizations},
             {"allocations", &counters.allocations},
             {"faults", &counters.faults}};
  for (const auto& counter : all) {
    if (name == counter.name) {
      return *counter.value;
    }
  }
  return -1;
}

}  // namespace nativespec::driver
