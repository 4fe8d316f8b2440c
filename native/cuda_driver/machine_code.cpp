#include "machine_code.h"

#include <cstdint>
#include <cstring>

#include "codes.h"

namespace nativespec::driver {
namespace {

/// ELF64's headers (System V ABI, chapter 4).
struct FileHeader {
  uint8_t magic[4], word_bits, byte_order, version, system, system_version, pad[7];
  uint16_t type, machine;
  uint32_t version_again;
  uint64_t entry, programs_at, sections_at;
  uint32_t flags;
  uint16_t header_bytes, program_bytes, programs, section_bytes, sections, names;
};
struct SectionHeader {
  uint32_t name, type;
  uint64_t flags, address, at, bytes;
  uint32_t link, info;
  uint64_t alignment, entry_bytes;
};
static_assert(sizeof(FileHeader) == 64 && sizeof(SectionHeader) == 64);

constexpr uint16_t kCudaMachine = 190;

/// The part and whether it is for that one alone (sm_90a), as flags of two versions of the format have them (LLVM's ELF.h, EF_CUDA_SM and EF_CUDA_ACCELERATORS).
struct Target {
  int part;
  bool alone;
};
Target TargetOf(const FileHeader& header) {
  return header.system_version < 8 ? Target{static_cast<int>(header.flags & 0xff), (header.flags & 0x800) != 0} : Target{static_cast<int>(header.flags >> 8 & 0xff), (header.flags & 8) != 0};
}

/// What a kernel's section .nv.info.NAME says: a byte of format, one of attribute, two that are the value or count the bytes behind.
struct Info {
  size_t argument_bytes = 0;
  int most_threads = 1024;
};
Info ReadInfo(const char* bytes, size_t count) {
  constexpr uint8_t kBytesBehind = 4, kMostThreads = 0x05, kArgumentBytes = 0x19;
  Info info;
  for (size_t at = 0; at + 4 <= count;) {
    const auto format = static_cast<uint8_t>(bytes[at]), attribute = static_cast<uint8_t>(bytes[at + 1]);
    uint16_t value;
    std::memcpy(&value, bytes + at + 2, 2);
    at += 4;
    if (format == kBytesBehind) {
      if (attribute == kMostThreads && value >= 4 && at + 4 <= count) {
        std::memcpy(&info.most_threads, bytes + at, 4);
      }
      at += value;
    } else if (attribute == kArgumentBytes) {
      info.argument_bytes = value;
    }
  }
  return info;
}

}  // namespace

bool IsMachineCode(const char* image) { return std::strncmp(image, "\x7f" "ELF", 4) == 0; }

int ReadMachineCode(const char* image, int part, std::map<std::string, Kernel>* kernels, std::string* why) {
  FileHeader header;
  std::memcpy(&header, image, sizeof header);
  if (header.machine != kCudaMachine || header.word_bits != 2 || header.section_bytes != sizeof(SectionHeader) || header.names >= header.sections) {
    *why = "an ELF file, and none for CUDA";
    return kInvalidImage;
  }
  // Of the same major number and no newer; what is for one part alone on that one.
  const Target target = TargetOf(header);
  if (target.part / 10 != part / 10 || target.part > part || (target.alone && target.part != part)) {
    *why = "machine code for sm_" + std::to_string(target.part) + (target.alone ? "a" : "") + " on a part of sm_" + std::to_string(part);
    return kNoBinaryForGpu;
  }
  auto section = [&](int i) {
    SectionHeader one;
    std::memcpy(&one, image + header.sections_at + static_cast<size_t>(i) * sizeof one, sizeof one);
    return one;
  };
  const SectionHeader names = section(header.names);
  const std::string prefix = ".nv.info.";
  for (int i = 0; i < header.sections; ++i) {
    const SectionHeader one = section(i);
    const std::string name = image + names.at + one.name;
    if (name.rfind(prefix, 0) != 0) {
      continue;
    }
    const std::string kernel = name.substr(prefix.size());
    const Info info = ReadInfo(image + one.at, one.bytes);
    const Twin* twin = FindTwin(part, kernel);
    if (twin == nullptr || twin->argument_bytes != info.argument_bytes) {
      *why = "kernel " + kernel + (twin == nullptr ? " is none that this emulated driver was built with"
                                                   : " takes " + std::to_string(info.argument_bytes) + " bytes; the emulated driver was built with one of " + std::to_string(twin->argument_bytes)) +
             ": image and emulated driver come from different sources";
      return kInvalidImage;
    }
    kernels->emplace(kernel, Kernel{twin, info.most_threads});
  }
  if (kernels->empty()) {
    *why = "machine code without a kernel";
    return kInvalidImage;
  }
  return 0;
}

}  // namespace nativespec::driver
