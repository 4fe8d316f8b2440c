#include "device_memory.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "report.h"

namespace nativespec::driver {
namespace {

constexpr uint64_t kPage = 4096, kReserved = uint64_t{64} << 30, kAlignment = 256;

uint64_t RoundUp(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

}  // namespace

DeviceMemory::DeviceMemory() {
  void* place = mmap(nullptr, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (place == MAP_FAILED) {
    std::fprintf(stderr, "emulated driver: no address space for device memory\n");
    std::_Exit(1);
  }
  begin_ = next_ = reinterpret_cast<uint64_t>(place);
}

uint64_t DeviceMemory::FindRoom(size_t bytes) const {
  // From the end of what was given last on, so that what was freed is not used again soon.
  for (int round = 0; round < 2; ++round) {
    uint64_t at = round == 0 ? next_ : begin_;
    for (const auto& [address, allocation] : allocations_) {
      if (allocation.end_page + kPage <= at) {
        continue;
      }
      if (at + bytes + kPage <= allocation.first_page) {
        break;
      }
      at = allocation.end_page + kPage;
    }
    if (at + bytes + kPage <= begin_ + kReserved) {
      return at;
    }
  }
  return 0;
}

uint64_t DeviceMemory::Allocate(size_t bytes, const void* owner) {
  const uint64_t mapped = RoundUp(RoundUp(bytes, kAlignment), kPage), first = FindRoom(mapped);
  if (first == 0 || mprotect(reinterpret_cast<void*>(first), mapped, PROT_READ | PROT_WRITE) != 0) {
    return 0;
  }
  std::memset(reinterpret_cast<void*>(first), 0xff, mapped);
  const uint64_t address = first + mapped - RoundUp(bytes, kAlignment);
  const Allocation allocation{bytes, first, first + mapped, owner};
  allocations_.emplace(address, allocation);
  next_ = allocation.end_page + kPage;
  Protect(allocation);
  return address;
}

bool DeviceMemory::MarginsAreWhole(uint64_t address, const Allocation& allocation) const {
  auto untouched = [](uint64_t from, uint64_t to) {
    for (const auto* byte = reinterpret_cast<const uint8_t*>(from); byte < reinterpret_cast<const uint8_t*>(to); ++byte) {
      if (*byte != 0xff) {
        return false;
      }
    }
    return true;
  };
  return untouched(allocation.first_page, address) && untouched(address + allocation.bytes, allocation.end_page);
}

bool DeviceMemory::Free(uint64_t address, const void* owner) {
  const auto found = allocations_.find(address);
  if (found == allocations_.end() || found->second.owner != owner) {
    return false;
  }
  const Allocation& allocation = found->second;
  const size_t mapped = allocation.end_page - allocation.first_page;
  mprotect(reinterpret_cast<void*>(allocation.first_page), mapped, PROT_READ);
  if (!MarginsAreWhole(address, allocation)) {
    AddProblem("something was written beside an allocation of " + std::to_string(allocation.bytes) + " bytes");
  }
  mprotect(reinterpret_cast<void*>(allocation.first_page), mapped, PROT_NONE);
  madvise(reinterpret_cast<void*>(allocation.first_page), mapped, MADV_DONTNEED);
  allocations_.erase(found);
  return true;
}

bool DeviceMemory::Holds(uint64_t address, size_t bytes, const void* owner) const {
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) {
    return false;
  }
  const auto& [begin, allocation] = *--after;
  return allocation.owner == owner && address - begin <= allocation.bytes && bytes <= allocation.bytes - (address - begin);
}

size_t DeviceMemory::Used(const void* owner) const {
  size_t used = 0;
  for (const auto& [address, allocation] : allocations_) {
    used += allocation.owner == owner ? RoundUp(allocation.bytes, kAlignment) : 0;
  }
  return used;
}

void DeviceMemory::FreeAll(const void* owner) {
  for (auto at = allocations_.begin(); at != allocations_.end();) {
    const uint64_t address = at->first;
    const bool its = at->second.owner == owner;
    ++at;
    if (its) {
      Free(address, owner);
    }
  }
}

void DeviceMemory::Protect(const Allocation& allocation) const {
  mprotect(reinterpret_cast<void*>(allocation.first_page), allocation.end_page - allocation.first_page, open_ > 0 ? PROT_READ | PROT_WRITE : PROT_NONE);
}

void DeviceMemory::Open() {
  if (open_++ == 0) {
    for (const auto& [address, allocation] : allocations_) {
      Protect(allocation);
    }
  }
}

void DeviceMemory::Close() {
  if (--open_ == 0) {
    for (const auto& [address, allocation] : allocations_) {
      Protect(allocation);
    }
  }
}

bool DeviceMemory::Contains(const void* address) const {
  const auto at = reinterpret_cast<uint64_t>(address);
  return at >= begin_ && at < begin_ + kReserved;
}

void DeviceMemory::Nearest(uint64_t address, uint64_t* begin, uint64_t* end) const {
  *begin = *end = 0;
  for (const auto& [its, allocation] : allocations_) {
    if (its <= address) {
      *begin = its;
      *end = its + allocation.bytes;
    }
  }
}

void* HostMemory::Allocate(size_t bytes, const void* owner) {
  const size_t used = RoundUp(bytes, kPage), mapped = used + kPage;
  void* pages = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) {
    return nullptr;
  }
  mprotect(static_cast<char*>(pages) + used, kPage, PROT_NONE);
  allocations_.emplace(reinterpret_cast<uint64_t>(pages), Allocation{bytes, static_cast<char*>(pages), mapped, owner});
  return pages;
}

bool HostMemory::Free(void* address, const void* owner) {
  const auto found = allocations_.find(reinterpret_cast<uint64_t>(address));
  if (found == allocations_.end() || found->second.owner != owner) {
    return false;
  }
  munmap(found->second.pages, found->second.mapped);
  allocations_.erase(found);
  return true;
}

bool HostMemory::Holds(const void* address, size_t bytes) const {
  const auto at = reinterpret_cast<uint64_t>(address);
  auto after = allocations_.upper_bound(at);
  if (after == allocations_.begin()) {
    return false;
  }
  const auto& [begin, allocation] = *--after;
  return at - begin <= allocation.bytes && bytes <= allocation.bytes - (at - begin);
}

size_t HostMemory::Count(const void* owner) const {
  size_t count = 0;
  for (const auto& [address, allocation] : allocations_) {
    count += allocation.owner == owner;
  }
  return count;
}

void HostMemory::FreeAll(const void* owner) {
  for (auto at = allocations_.begin(); at != allocations_.end();) {
    if (at->second.owner == owner) {
      munmap(at->second.pages, at->second.mapped);
      at = allocations_.erase(at);
    } else {
      ++at;
    }
  }
}

}  // namespace nativespec::driver
