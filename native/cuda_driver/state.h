// The driver's objects: contexts, and in each its streams, events, modules and graphs. A handle is the address of one of them.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "device_memory.h"
#include "ptx_image.h"

namespace nativespec::driver {

/// What a stream does: 0, or the code of the fault that it ended with.
struct Operation {
  std::string name;
  std::function<int()> run;
};

struct Graph {
  std::vector<Operation> operations;
};

enum class CaptureMode : int { kGlobal = 0, kThreadLocal = 1, kRelaxed = 2 };

/// Operations wait in a stream until somebody waits for them.
struct Stream {
  bool blocking = false;  // its work is ordered with that of the legacy stream
  std::deque<Operation> waiting;
  std::mutex running;  // held by the thread that runs its operations

  std::unique_ptr<Graph> capture;  // what is captured now
  CaptureMode capture_mode = CaptureMode::kGlobal;
  bool capture_broken = false;
  std::thread::id capture_thread;
};

struct Event {
  bool recorded = false, pending = false;
  std::weak_ptr<Stream> stream;  // where it was recorded last
  std::chrono::steady_clock::time_point time;
};

struct Module {
  std::map<std::string, Kernel> kernels;
};

/// A device's primary context.
struct Context {
  int device = 0, references = 0;
  uint64_t generation = 0;  // grows when it is destroyed, so that threads find out that theirs is gone
  int fault = 0;            // sticky
  std::shared_ptr<Stream> legacy = std::make_shared<Stream>();
  std::map<void*, std::shared_ptr<Stream>> streams;
  std::map<void*, std::shared_ptr<Event>> events;
  std::map<void*, std::unique_ptr<Module>> modules;
  std::map<void*, Kernel*> kernels;
  std::map<void*, std::unique_ptr<Graph>> graphs, executables;
};

/// Everything, under one lock that is not held while kernels run.
struct State {
  std::mutex mutex;
  bool initialized = false;
  DeviceMemory device;
  HostMemory host;
  Context contexts[8];
};
State& TheState();

using Lock = std::unique_lock<std::mutex>;

/// Runs a stream's operations, at most so many, without the lock; the context is faulted where one of them fails.
void Run(Context& context, const std::shared_ptr<Stream>& stream, Lock& lock, size_t most = ~size_t{0});
/// All streams.
void RunAll(Context& context, Lock& lock);

/// The stream of a handle, or null. 0 and 1 are the legacy stream.
std::shared_ptr<Stream> FindStream(Context& context, void* handle);

/// Puts an operation into a stream, or into what it captures.
int Submit(Context& context, const std::shared_ptr<Stream>& stream, Operation operation, Lock& lock);

/// A call that a capture does not allow: breaks the captures it concerns and gives the code, else 0. unsafe: forbidden to any thread during a global
/// capture and to the capturing thread during one of its own, whatever stream it is about (cuMemAlloc and the like).
int RefuseInCapture(Context& context, const Stream* stream, bool unsafe);

/// Ends a context. What is left in it is a problem of the program.
void Destroy(Context& context, Lock& lock);

}  // namespace nativespec::driver
