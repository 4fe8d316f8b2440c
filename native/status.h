// How the C interface says what went wrong: a status, and the reason for the calling thread.
#pragma once

#include <exception>
#include <new>

#include "nativespec.h"

namespace nativespec {

/// Keeps the reason and returns the status.
ns_status Fail(ns_status status, const char* format, ...);

/// The last reason on this thread.
const char* LastError();

/// Runs a function that returns a status, and returns a status whatever happens.
template <class Function>
ns_status Guard(Function function) noexcept {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return Fail(NS_OUT_OF_MEMORY, "the system has no memory left");
  } catch (const std::exception& error) {
    return Fail(NS_FAILED, "%s", error.what());
  } catch (...) {
    return Fail(NS_FAILED, "an unknown exception");
  }
}

inline constexpr int64_t kMostExtent = 1 << 30;

inline bool Extent(int64_t value) { return value >= 1 && value <= kMostExtent; }

inline long long Print(int64_t value) { return static_cast<long long>(value); }

}  // namespace nativespec

#define NS_REQUIRE(condition) \
  if (!(condition)) {         \
    return nativespec::Fail(NS_INVALID_ARGUMENT, "%s: needs %s", __func__, #condition); \
  }
