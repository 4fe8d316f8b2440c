#include "settings.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace nativespec::driver {
namespace {

bool Number(const std::string& text, double least, double most, double* value) {
  char* end = nullptr;
  *value = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == 0 && *value >= least && *value <= most;
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

bool SetOrder(Settings& settings, const std::vector<std::string>& parts) {
  double seed = 1;
  if (parts.size() > 2 || (parts.size() == 2 && !Number(parts[1], 0, 1e15, &seed))) {
    return false;
  }
  emulator::Order order;
  if (parts[0] == "ascending") {
    order = emulator::Order::kAscending;
  } else if (parts[0] == "descending") {
    order = emulator::Order::kDescending;
  } else if (parts[0] == "random") {
    order = emulator::Order::kRandom;
  } else {
    return false;
  }
  settings.schedule.order = order;
  settings.schedule.seed = static_cast<uint64_t>(seed);
  return true;
}

bool Set(Settings& settings, const std::string& name, const std::string& value) {
  const auto parts = Split(value);
  double number = 0, second = 0;
  if (name == "PART") {
    if (value != "sm_80" && value != "sm_90") {
      return false;
    }
    settings.part = value == "sm_80" ? 80 : 90;
  } else if (name == "DEVICES") {
    if (!Number(value, 0, 8, &number)) {
      return false;
    }
    settings.devices = static_cast<int>(number);
  } else if (name == "VERSION") {
    if (!Number(value, 1000, 99000, &number)) {
      return false;
    }
    settings.version = static_cast<int>(number);
  } else if (name == "MEMORY") {
    if (!Number(value, 1, 1 << 15, &number)) {
      return false;
    }
    settings.memory = static_cast<size_t>(number * (1 << 20));
  } else if (name == "WORKERS") {
    if (!Number(value, 1, 64, &number)) {
      return false;
    }
    settings.schedule.workers = static_cast<int>(number);
  } else if (name == "ORDER") {
    return SetOrder(settings, parts);
  } else if (name == "FAULTS") {
    if (parts.size() != 2 || !Number(parts[0], 0, 1e15, &number) || !Number(parts[1], 0, 1, &second)) {
      return false;
    }
    settings.fault_seed = static_cast<uint64_t>(number) * 0x9E3779B97F4A7C15u;
    settings.fault_rate = second;
  } else if (name == "FAIL") {
    double code = 0;
    if (parts.size() != 3 || !Number(parts[1], 0, 1e9, &number) || !Number(parts[2], 0, 999, &code)) {
      return false;
    }
    settings.fail_call = parts[0];
    settings.fail_number = static_cast<int64_t>(number);
    settings.fail_code = static_cast<int>(code);
  } else {
    return false;
  }
  return true;
}

Settings FromEnvironment() {
  Settings settings;
  for (const char* name : {"PART", "DEVICES", "VERSION", "MEMORY", "WORKERS", "ORDER", "FAULTS", "FAIL"}) {
    const char* value = std::getenv((std::string("NATIVESPEC_CUDA_") + name).c_str());
    if (value != nullptr && !Set(settings, name, value)) {
      std::fprintf(stderr, "emulated driver: NATIVESPEC_CUDA_%s does not take '%s'\n", name, value);
      std::_Exit(1);
    }
  }
  return settings;
}

/// SplitMix64 (Steele et al., 2014).
uint64_t Next(uint64_t& state) {
  uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace

Settings& TheSettings() {
  static auto* settings = new Settings(FromEnvironment());
  return *settings;
}

bool Configure(const std::string& name, const std::string& value) { return Set(TheSettings(), name, value); }

std::optional<int> DrawFault(const char* call, const int* codes, size_t count) {
  Settings& settings = TheSettings();
  if (settings.fail_number > 0 && settings.fail_call == call && --settings.fail_number == 0) {
    return settings.fail_code;
  }
  if (settings.fault_rate <= 0 || count == 0) {
    return std::nullopt;
  }
  const double draw = static_cast<double>(Next(settings.fault_seed) >> 11) * 0x1p-53;
  return draw < settings.fault_rate ? std::optional(codes[Next(settings.fault_seed) % count]) : std::nullopt;
}

}  // namespace nativespec::driver
