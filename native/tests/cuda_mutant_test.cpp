// The tests of one kernel on the newer emulated part, with threads in the order given. Built with a kernel that has a fault planted in it, it fails.
#include <string>

#include "check.h"

uint64_t RunOnPart90(int order, const std::string& only);

int main(int count, char** arguments) {
  RunOnPart90(count > 2 ? std::atoi(arguments[2]) : 0, count > 1 ? arguments[1] : "");
  return check::Result();
}
