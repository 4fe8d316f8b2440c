// Device memory of all contexts, and pinned memory of the host. Device memory lies in one reserved piece of address space, where each allocation ends
// at a page that nobody may touch; it is not a number until it is written, and only the emulated device can touch it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace nativespec::driver {

class DeviceMemory {
 public:
  DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;

  /// The address, or 0 where there is no room.
  uint64_t Allocate(size_t bytes, const void* owner);
  /// False where the address is not the begin of one of this owner's allocations.
  bool Free(uint64_t address, const void* owner);
  /// True where an allocation of this owner has all of these bytes.
  bool Holds(uint64_t address, size_t bytes, const void* owner) const;
  size_t Used(const void* owner) const;
  void FreeAll(const void* owner);

  /// Lets this process touch device memory until as many Close. Work of the device runs between them.
  void Open();
  void Close();

  /// Whether an address is one of device memory, or of what lies between.
  bool Contains(const void* address) const;

  /// Begin and end of the allocation that holds an address or ends before it, for messages.
  void Nearest(uint64_t address, uint64_t* begin, uint64_t* end) const;

 private:
  struct Allocation {
    size_t bytes;
    uint64_t first_page, end_page;
    const void* owner;
  };
  void Protect(const Allocation& allocation) const;
  bool MarginsAreWhole(uint64_t address, const Allocation& allocation) const;
  uint64_t FindRoom(size_t bytes) const;

  uint64_t begin_, next_;
  std::map<uint64_t, Allocation> allocations_;
  int open_ = 0;
};

/// Pinned memory: ranges by their begin, each up to a page that nobody may touch.
class HostMemory {
 public:
  void* Allocate(size_t bytes, const void* owner);
  bool Free(void* address, const void* owner);
  bool Holds(const void* address, size_t bytes) const;
  /// How many this owner has.
  size_t Count(const void* owner) const;
  void FreeAll(const void* owner);

 private:
  struct Allocation {
    size_t bytes;
    char* pages;
    size_t mapped;
    const void* owner;
  };
  std::map<uint64_t, Allocation> allocations_;
};

}  // namespace nativespec::driver
