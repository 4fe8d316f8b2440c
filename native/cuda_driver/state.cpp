#include "state.h"

#include "codes.h"
#include "report.h"

namespace nativespec::driver {

namespace {

/// Who ends without having released its context says so.
__attribute__((destructor)) void AtExit() {
  for (const Context& context : TheState().contexts) {
    if (context.references > 0) {
      AddProblem("the program ends with the context of device " + std::to_string(context.device) + " retained " + std::to_string(context.references) + " times and " +
                 std::to_string(TheState().device.Used(&context)) + " bytes of device memory in it");
    }
  }
}

}  // namespace

State& TheState() {
  static auto* state = new State;  // never destroyed: calls may come until the very end
  return *state;
}

std::shared_ptr<Stream> FindStream(Context& context, void* handle) {
  if (reinterpret_cast<uintptr_t>(handle) <= 1) {
    return context.legacy;
  }
  const auto found = context.streams.find(handle);
  return found == context.streams.end() ? nullptr : found->second;
}

void Run(Context& context, const std::shared_ptr<Stream>& stream, Lock& lock, size_t most) {
  lock.unlock();
  std::lock_guard<std::mutex> running(stream->running);
  lock.lock();
  if (stream->waiting.empty()) {
    return;
  }
  TheState().device.Open();
  for (; most > 0 && !stream->waiting.empty(); --most) {
    const Operation operation = std::move(stream->waiting.front());
    stream->waiting.pop_front();
    if (context.fault != 0) {
      continue;  // a faulted context does nothing more
    }
    lock.unlock();
    const int code = operation.run();
    lock.lock();
    if (code != 0 && context.fault == 0) {
      context.fault = code;
    }
  }
  TheState().device.Close();
}

void RunAll(Context& context, Lock& lock) {
  std::vector<std::shared_ptr<Stream>> all = {context.legacy};
  for (const auto& [handle, stream] : context.streams) {
    all.push_back(stream);
  }
  for (const auto& stream : all) {
    Run(context, stream, lock);
  }
}

int Submit(Context& context, const std::shared_ptr<Stream>& stream, Operation operation, Lock& lock) {
  if (stream->capture != nullptr) {
    if (stream->capture_broken) {
      return kStreamCaptureInvalidated;
    }
    stream->capture->operations.push_back(std::move(operation));
    return 0;
  }
  if (stream != context.legacy) {
    stream->waiting.push_back(std::move(operation));
    return 0;
  }
  // The legacy stream waits for all blocking streams, and they for it: its work is done at once.
  std::vector<std::shared_ptr<Stream>> before;
  for (const auto& [handle, other] : context.streams) {
    if (other->blocking && other->capture != nullptr) {
      other->capture_broken = true;
      return kStreamCaptureImplicit;
    }
    if (other->blocking) {
      before.push_back(other);
    }
  }
  for (const auto& other : before) {
    Run(context, other, lock);
  }
  stream->waiting.push_back(std::move(operation));
  Run(context, stream, lock);
  return 0;
}

int RefuseInCapture(Context& context, const Stream* stream, bool unsafe) {
  if (context.fault != 0) {  // what is lost records nothing any more, and gives back what it has
    for (const auto& [handle, other] : context.streams) {
      other->capture.reset();
    }
    return 0;
  }
  int code = 0;
  for (const auto& [handle, other] : context.streams) {
    if (other->capture == nullptr) {
      continue;
    }
    const bool its_own = other.get() == stream;
    const bool forbidden = unsafe && (other->capture_mode == CaptureMode::kGlobal ||
                                      (other->capture_mode == CaptureMode::kThreadLocal && other->capture_thread == std::this_thread::get_id()));
    if (its_own || forbidden) {
      other->capture_broken = true;
      code = kStreamCaptureUnsupported;
    }
  }
  return code;
}

void Destroy(Context& context, Lock& lock) {
  RunAll(context, lock);
  State& state = TheState();
  std::string left;
  auto count = [&](const char* what, size_t number) {
    if (number > 0) {
      left += (left.empty() ? "" : ", ") + std::to_string(number) + " " + what;
    }
  };
  count("bytes of device memory", state.device.Used(&context));
  count("allocations of pinned memory", state.host.Count(&context));
  count("streams", context.streams.size());
  count("events", context.events.size());
  count("modules", context.modules.size());
  count("graphs", context.graphs.size());
  count("executable graphs", context.executables.size());
  if (!left.empty()) {
    AddProblem("a context was released with " + left + " in it");
  }
  state.device.FreeAll(&context);
  state.host.FreeAll(&context);
  const int device = context.device;
  const uint64_t generation = context.generation + 1;
  context = Context();
  context.device = device;
  context.generation = generation;
}

}  // namespace nativespec::driver
