// The tests of one kernel on the newer emulated part, with threads in the order given. Built with a kernel that has a fault planted in it, it fails.
#include <cstdio>
#include <stdexcept>
#include <string>

#include "check.h"

uint64_t RunOnPart90(int order, const std::string& only);

int main(int count, char** arguments) {
  try {
    RunOnPart90(count > 2 ? std::atoi(arguments[2]) : 0, count > 1 ? arguments[1] : "");
  } catch (const std::invalid_argument& error) {
    std::printf("%s\n", error.what());
    return 0;  // a fault is found by a test that fails, not by none
  }
  return check::Result();
}
