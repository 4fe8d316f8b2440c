// Memory that nobody may touch: a kernel that does so ends with a fault, as on a part; a host that reads device memory hears why it ends.
#pragma once

#include <string>

namespace nativespec::driver {

/// Once, before the first kernel.
void InstallGuard();

/// Whether what ended a kernel was an address.
bool IsAddressFault(const std::string& fault);

}  // namespace nativespec::driver
