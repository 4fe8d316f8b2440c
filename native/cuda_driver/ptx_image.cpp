#include "ptx_image.h"

#include <cstdlib>
#include <cstring>
#include <vector>

#include "codes.h"
#include "machine_code.h"

namespace nativespec::driver {
namespace {

/// The text without comments, whose words might look like directives.
std::string WithoutComments(const char* text) {
  std::string plain;
  for (const char* at = text; *at != 0; ++at) {
    if (at[0] == '/' && at[1] == '/') {
      while (at[1] != 0 && at[1] != '\n') {
        ++at;
      }
    } else if (at[0] == '/' && at[1] == '*') {
      const char* end = std::strstr(at + 2, "*/");
      if (end == nullptr) {
        break;
      }
      at = end + 1;
    } else {
      plain += *at;
    }
  }
  return plain;
}

/// What follows a directive up to the end of its line.
std::string ValueOf(const std::string& text, const char* directive) {
  const size_t at = text.find(directive);
  if (at == std::string::npos) {
    return "";
  }
  const size_t begin = text.find_first_not_of(" \t", at + std::strlen(directive)), end = text.find_first_of(" ,\t\r\n", begin);
  return begin == std::string::npos ? "" : text.substr(begin, end - begin);
}

/// The newest PTX a driver reads, as major · 10 + minor (PTX ISA, release notes).
int NewestPtx(int driver_version) {
  const int major = driver_version / 1000, minor = driver_version % 1000 / 10;
  if (major >= 13) {
    return 90 + (major - 13) * 10 + minor;
  }
  if (major == 12) {
    return 80 + (minor <= 5 ? minor : minor - 1);
  }
  return major == 11 ? 70 + minor : 65;
}

/// Bytes of each .param of a list such as ".param .align 8 .b8 name[72], .param .u32 other".
std::vector<size_t> ParameterBytes(const std::string& list) {
  std::vector<size_t> sizes;
  for (size_t at = list.find(".param"); at != std::string::npos; at = list.find(".param", at + 1)) {
    const std::string one = list.substr(at + 6, list.find(".param", at + 6) - at - 6);
    size_t element = 0;
    for (const char* type : {".b8", ".u8", ".s8"}) {
      element = one.find(type) != std::string::npos ? 1 : element;
    }
    for (const char* type : {".b16", ".u16", ".s16", ".f16"}) {
      element = one.find(type) != std::string::npos ? 2 : element;
    }
    for (const char* type : {".b32", ".u32", ".s32", ".f32"}) {
      element = one.find(type) != std::string::npos ? 4 : element;
    }
    for (const char* type : {".b64", ".u64", ".s64", ".f64"}) {
      element = one.find(type) != std::string::npos ? 8 : element;
    }
    const size_t bracket = one.find('[');
    sizes.push_back(element * (bracket == std::string::npos ? 1 : static_cast<size_t>(std::atoi(one.c_str() + bracket + 1))));
  }
  return sizes;
}

int ReadEntries(const std::string& text, int part, std::map<std::string, Kernel>* kernels, std::string* why) {
  for (size_t at = text.find(".entry"); at != std::string::npos; at = text.find(".entry", at + 1)) {
    const size_t open = text.find('(', at), close = text.find(')', open), body = text.find('{', close);
    if (body == std::string::npos) {
      *why = "an .entry without parameters or body";
      return kInvalidPtx;
    }
    std::string name;
    for (const char c : text.substr(at + 6, open - at - 6)) {
      name += c > ' ' ? std::string(1, c) : "";
    }
    Kernel kernel{FindTwin(part, name)};
    if (kernel.twin == nullptr) {
      *why = "entry " + name + " is none that this emulated driver was built with; build it again (native/test.sh build)";
      return kInvalidPtx;
    }
    const auto sizes = ParameterBytes(text.substr(open, close - open));
    if (sizes.size() != 1 || sizes[0] != kernel.twin->argument_bytes) {
      *why = "entry " + name + " takes " + std::to_string(sizes.size()) + " parameters, the first of " + std::to_string(sizes.empty() ? 0 : sizes[0]) + " bytes; the emulated driver was built with one of " +
             std::to_string(kernel.twin->argument_bytes) + " bytes: image and emulated driver come from different sources";
      return kInvalidPtx;
    }
    const std::string most = ValueOf(text.substr(close, body - close), ".maxntid");
    kernel.most_threads = most.empty() ? 1024 : std::atoi(most.c_str());
    kernels->emplace(name, kernel);
  }
  if (kernels->empty()) {
    *why = "no .entry";
    return kInvalidPtx;
  }
  return 0;
}

}  // namespace

int ReadImage(const char* image, int part, int driver_version, std::map<std::string, Kernel>* kernels, std::string* why) {
  if (IsMachineCode(image)) {
    return ReadMachineCode(image, part, kernels, why);
  }
  const std::string text = WithoutComments(image), version = ValueOf(text, ".version"), target = ValueOf(text, ".target");
  if (version.empty() || target.rfind("sm_", 0) != 0) {
    *why = "neither PTX text nor machine code";
    return kInvalidImage;
  }
  const size_t dot = version.find('.');
  const int its = std::atoi(version.c_str()) * 10 + (dot == std::string::npos ? 0 : std::atoi(version.c_str() + dot + 1)), newest = NewestPtx(driver_version);
  if (its > newest) {
    *why = "Unsupported .version " + version + "; current version is '" + std::to_string(newest / 10) + "." + std::to_string(newest % 10) + "'";
    return kUnsupportedPtxVersion;
  }
  // PTX of an older part runs on a newer one; what is of one architecture alone (sm_90a) on that part only.
  const int target_part = std::atoi(target.c_str() + 3);
  if (target_part > part || (target.back() == 'a' && target_part != part)) {
    *why = ".target " + target + " on a part of sm_" + std::to_string(part);
    return kInvalidPtx;
  }
  return ReadEntries(text, part, kernels, why);
}

}  // namespace nativespec::driver
