// Streams, events, captures and graphs.
#include "call.h"

using namespace nativespec::driver;

namespace {

template <class Handles>
bool Erase(Handles& handles, void* handle) {
  return handles.erase(handle) == 1;
}

/// Runs what stands in front of an event in its stream.
void RunUntil(Context& context, const std::shared_ptr<Event>& event, Lock& lock) {
  while (event->pending) {
    const auto stream = event->stream.lock();
    if (stream == nullptr || stream->waiting.empty()) {
      // Another thread runs it now, or its stream is gone.
      if (stream != nullptr) {
        Run(context, stream, lock);
      }
      event->pending = event->pending && stream != nullptr && context.fault == 0;
      continue;
    }
    Run(context, stream, lock, 1);
    event->pending = event->pending && context.fault == 0;
  }
}

std::shared_ptr<Event> FindEvent(Context& context, void* handle) {
  const auto found = context.events.find(handle);
  return found == context.events.end() ? nullptr : found->second;
}

}  // namespace

NS_EXPORT int cuStreamCreate(void** handle, unsigned flags) {
  return InContext("cuStreamCreate", {kOutOfMemory, kUnknown}, [&](Context& context, Lock&) -> int {
    if (handle == nullptr || flags > 1) {
      return kInvalidValue;
    }
    if (const int code = RefuseInCapture(context, nullptr, true); code != 0) {
      return code;
    }
    auto stream = std::make_shared<Stream>();
    stream->blocking = flags == 0;
    *handle = stream.get();
    context.streams.emplace(*handle, stream);
    return kSuccess;
  });
}

NS_EXPORT int cuStreamDestroy_v2(void* handle) {
  return Releasing("cuStreamDestroy_v2", [&](Context& context, Lock& lock) -> int {
    const auto stream = FindStream(context, handle);
    if (stream == nullptr || stream == context.legacy) {
      return kInvalidHandle;
    }
    if (stream->capture != nullptr) {
      if (const int code = RefuseInCapture(context, stream.get(), false); code != 0) {
        return code;
      }
    }
    Run(context, stream, lock);
    context.streams.erase(handle);
    return kSuccess;
  });
}

NS_EXPORT int cuStreamSynchronize(void* handle) {
  return InContext("cuStreamSynchronize", {kIllegalAddress, kLaunchTimeout, kLaunchFailed, kEccUncorrectable, kUnknown}, [&](Context& context, Lock& lock) -> int {
    const auto stream = FindStream(context, handle);
    if (stream == nullptr) {
      return kInvalidHandle;
    }
    if (const int code = RefuseInCapture(context, stream.get(), false); code != 0) {
      return code;
    }
    ++counters.synchronizations;
    Run(context, stream, lock);
    return kSuccess;
  });
}

NS_EXPORT int cuStreamQuery(void* handle) {
  return InContext("cuStreamQuery", {kIllegalAddress, kUnknown}, [&](Context& context, Lock& lock) -> int {
    const auto stream = FindStream(context, handle);
    if (stream == nullptr) {
      return kInvalidHandle;
    }
    if (const int code = RefuseInCapture(context, stream.get(), false); code != 0) {
      return code;
    }
    Run(context, stream, lock, 1);  // whoever asks again and again gets an answer at last
    return stream->waiting.empty() ? kSuccess : kNotReady;
  });
}

NS_EXPORT int cuStreamWaitEvent(void* handle, void* event_handle, unsigned flags) {
  return InContext("cuStreamWaitEvent", {kUnknown}, [&](Context& context, Lock& lock) -> int {
    const auto stream = FindStream(context, handle);
    const auto event = FindEvent(context, event_handle);
    if (stream == nullptr || event == nullptr) {
      return kInvalidHandle;
    }
    if (flags != 0) {
      return kInvalidValue;
    }
    if (const int code = RefuseInCapture(context, stream.get(), false); code != 0) {
      return code;  // captures of several streams are not emulated
    }
    if (event->stream.lock() == stream || !event->pending) {
      return kSuccess;
    }
    return Submit(context, stream, {"cuStreamWaitEvent", [&context, event] {
                    Lock inner(TheState().mutex);
                    RunUntil(context, event, inner);
                    return 0;
                  }},
                  lock);
  });
}

NS_EXPORT int cuStreamBeginCapture_v2(void* handle, int mode) {
  return InContext("cuStreamBeginCapture_v2", {kOutOfMemory, kUnknown}, [&](Context& context, Lock&) -> int {
    const auto stream = FindStream(context, handle);
    if (stream == nullptr) {
      return kInvalidHandle;
    }
    if (mode < 0 || mode > 2) {
      return kInvalidValue;
    }
    if (stream == context.legacy) {
      return kStreamCaptureImplicit;
    }
    if (stream->capture != nullptr) {
      return kInvalidValue;
    }
    stream->capture = std::make_unique<Graph>();
    stream->capture_mode = static_cast<CaptureMode>(mode);
    stream->capture_broken = false;
    stream->capture_thread = std::this_thread::get_id();
    return kSuccess;
  });
}

NS_EXPORT int cuStreamIsCapturing(void* handle, int* status) {
  return InContext("cuStreamIsCapturing", {kUnknown}, [&](Context& context, Lock&) -> int {
    const auto stream = FindStream(context, handle);
    if (stream == nullptr || status == nullptr) {
      return kInvalidValue;
    }
    *status = stream->capture == nullptr ? 0 : stream->capture_broken ? 2 : 1;
    return kSuccess;
  });
}

NS_EXPORT int cuStreamEndCapture(void* handle, void** graph) {
  return InContext("cuStreamEndCapture", {kUnknown}, [&](Context& context, Lock&) -> int {
    const auto stream = FindStream(context, handle);
    if (stream == nullptr || graph == nullptr) {
      return kInvalidValue;
    }
    *graph = nullptr;
    if (stream->capture == nullptr) {
      return kInvalidValue;
    }
    if (stream->capture_mode != CaptureMode::kRelaxed && stream->capture_thread != std::this_thread::get_id()) {
      return kStreamCaptureWrongThread;
    }
    auto captured = std::move(stream->capture);
    if (stream->capture_broken) {
      return kStreamCaptureInvalidated;
    }
    *graph = captured.get();
    context.graphs.emplace(*graph, std::move(captured));
    return kSuccess;
  });
}

NS_EXPORT int cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long flags) {
  return InContext("cuGraphInstantiateWithFlags", {kOutOfMemory, kUnknown}, [&](Context& context, Lock&) -> int {
    const auto found = context.graphs.find(graph);
    if (executable == nullptr || found == context.graphs.end() || flags > 15) {
      return kInvalidValue;
    }
    auto its = std::make_unique<Graph>(*found->second);
    *executable = its.get();
    context.executables.emplace(*executable, std::move(its));
    return kSuccess;
  });
}

NS_EXPORT int cuGraphUpload(void* executable, void* handle) {
  return InContext("cuGraphUpload", {kOutOfMemory, kUnknown}, [&](Context& context, Lock&) -> int {
    return context.executables.count(executable) == 0 || FindStream(context, handle) == nullptr ? kInvalidValue : kSuccess;
  });
}

NS_EXPORT int cuGraphLaunch(void* executable, void* handle) {
  return InContext("cuGraphLaunch", {kOutOfMemory, kIllegalAddress, kLaunchFailed, kUnknown}, [&](Context& context, Lock& lock) -> int {
    const auto found = context.executables.find(executable);
    const auto stream = FindStream(context, handle);
    if (found == context.executables.end() || stream == nullptr) {
      return kInvalidValue;
    }
    if (stream->capture == nullptr) {
      ++counters.graph_launches;
    }
    const auto operations = found->second->operations;
    for (const Operation& operation : operations) {
      if (const int code = Submit(context, stream, operation, lock); code != 0) {
        return code;
      }
    }
    return kSuccess;
  });
}

NS_EXPORT int cuGraphExecDestroy(void* executable) {
  return Releasing("cuGraphExecDestroy", [&](Context& context, Lock&) -> int { return Erase(context.executables, executable) ? kSuccess : kInvalidValue; });
}

NS_EXPORT int cuGraphDestroy(void* graph) {
  return Releasing("cuGraphDestroy", [&](Context& context, Lock&) -> int { return Erase(context.graphs, graph) ? kSuccess : kInvalidValue; });
}

NS_EXPORT int cuEventCreate(void** handle, unsigned flags) {
  return InContext("cuEventCreate", {kOutOfMemory, kUnknown}, [&](Context& context, Lock&) -> int {
    if (handle == nullptr || flags > 7) {
      return kInvalidValue;
    }
    auto event = std::make_shared<Event>();
    *handle = event.get();
    context.events.emplace(*handle, event);
    return kSuccess;
  });
}

NS_EXPORT int cuEventDestroy_v2(void* handle) {
  return Releasing("cuEventDestroy_v2", [&](Context& context, Lock&) -> int { return Erase(context.events, handle) ? kSuccess : kInvalidHandle; });
}

NS_EXPORT int cuEventRecord(void* handle, void* stream_handle) {
  return InContext("cuEventRecord", {kUnknown}, [&](Context& context, Lock& lock) -> int {
    const auto event = FindEvent(context, handle);
    const auto stream = FindStream(context, stream_handle);
    if (event == nullptr || stream == nullptr) {
      return kInvalidHandle;
    }
    event->recorded = true;
    event->stream = stream;
    event->pending = stream->capture == nullptr;
    return Submit(context, stream, {"cuEventRecord", [event] {
                    Lock inner(TheState().mutex);
                    event->pending = false;
                    event->time = std::chrono::steady_clock::now();
                    return 0;
                  }},
                  lock);
  });
}

NS_EXPORT int cuEventQuery(void* handle) {
  return InContext("cuEventQuery", {kIllegalAddress, kLaunchFailed, kUnknown}, [&](Context& context, Lock& lock) -> int {
    const auto event = FindEvent(context, handle);
    if (event == nullptr) {
      return kInvalidHandle;
    }
    const auto stream = event->stream.lock();
    if (event->pending && stream != nullptr) {
      Run(context, stream, lock, 1);  // whoever asks again and again gets an answer at last
    }
    return event->pending ? kNotReady : kSuccess;
  });
}

NS_EXPORT int cuEventSynchronize(void* handle) {
  return InContext("cuEventSynchronize", {kIllegalAddress, kLaunchTimeout, kLaunchFailed, kUnknown}, [&](Context& context, Lock& lock) -> int {
    const auto event = FindEvent(context, handle);
    if (event == nullptr) {
      return kInvalidHandle;
    }
    ++counters.synchronizations;
    RunUntil(context, event, lock);
    return kSuccess;
  });
}

NS_EXPORT int cuEventElapsedTime(float* milliseconds, void* from, void* to) {
  return InContext("cuEventElapsedTime", {kUnknown}, [&](Context& context, Lock&) -> int {
    const auto first = FindEvent(context, from), second = FindEvent(context, to);
    if (milliseconds == nullptr || first == nullptr || second == nullptr || !first->recorded || !second->recorded) {
      return kInvalidHandle;
    }
    if (first->pending || second->pending) {
      return kNotReady;
    }
    *milliseconds = std::chrono::duration<float, std::milli>(second->time - first->time).count();
    return kSuccess;
  });
}

NS_EXPORT int cuEventElapsedTime_v2(float* milliseconds, void* from, void* to) { return cuEventElapsedTime(milliseconds, from, to); }
