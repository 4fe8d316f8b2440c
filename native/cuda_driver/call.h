// What every exported function does first: is the driver initialised, is a context current on this thread, is it without fault, and is this call to fail.
#pragma once

#include <initializer_list>

#include "codes.h"
#include "report.h"
#include "settings.h"
#include "state.h"

#define NS_EXPORT extern "C" __attribute__((visibility("default")))

namespace nativespec::driver {

/// The codes a kind of call may fail with by chance.
using Codes = std::initializer_list<int>;
inline constexpr Codes kNone = {};

/// The context that is current on this thread.
struct Current {
  Context* context = nullptr;
  uint64_t generation = 0;
};
inline thread_local Current current;

/// 0, or why the current context cannot be used.
inline int CheckCurrent() {
  if (!TheState().initialized) {
    return kNotInitialized;
  }
  if (current.context == nullptr) {
    return kInvalidContext;
  }
  return current.context->generation == current.generation ? 0 : kContextIsDestroyed;
}

inline std::optional<int> Draw(const char* call, Codes codes) {
  const auto code = DrawFault(call, codes.begin(), codes.size());
  counters.faults += code.has_value();
  return code;
}

/// A call that needs no context.
template <class F>
int InDriver(const char* call, Codes codes, F body) {
  Lock lock(TheState().mutex);
  if (!TheState().initialized) {
    return kNotInitialized;
  }
  const auto fault = Draw(call, codes);
  return fault ? *fault : body(lock);
}

/// A call in the current context. body(Context&, Lock&) gives its code.
template <class F>
int InContext(const char* call, Codes codes, F body) {
  Lock lock(TheState().mutex);
  if (const int code = CheckCurrent(); code != 0) {
    return code;
  }
  Context& context = *current.context;
  if (context.fault == 0) {
    if (const auto fault = Draw(call, codes)) {
      context.fault = IsSticky(*fault) ? *fault : 0;
      return *fault;
    }
  }
  if (context.fault != 0) {
    return context.fault;
  }
  const int code = body(context, lock);
  return code == 0 && context.fault != 0 ? context.fault : code;
}

/// A call that gives something back: it does so in a faulted context too, and says the fault all the same.
template <class F>
int Releasing(const char* call, F body) {
  Lock lock(TheState().mutex);
  if (const int code = CheckCurrent(); code != 0) {
    return code;
  }
  Context& context = *current.context;
  if (context.fault == 0) {
    const int fault = Draw(call, {kIllegalAddress, kLaunchFailed}).value_or(0);
    context.fault = IsSticky(fault) ? fault : 0;
  }
  const int code = body(context, lock);
  return code == 0 ? context.fault : code;
}

}  // namespace nativespec::driver
