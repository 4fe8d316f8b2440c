#include "guard.h"

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <ucontext.h>
#include <unistd.h>

#include "../cuda_emulator/emulator.h"
#include "state.h"

namespace nativespec::driver {
namespace {

constexpr char kAddressFault[] = "memory outside of every allocation was touched";

struct sigaction before;

void EndKernel() { nativespec::emulator::Fault(kAddressFault); }

void Write(const char* text) {
  size_t length = 0;
  while (text[length] != 0) {
    ++length;
  }
  [[maybe_unused]] const auto written = write(STDERR_FILENO, text, length);
}

void OnSignal(int signal, siginfo_t* info, void* context) {
  if (nativespec::emulator::InKernel()) {
    // The kernel's thread goes on at EndKernel, on its own stack below what it used, as if it had called it.
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    registers[REG_RSP] = ((registers[REG_RSP] - 128) & ~int64_t{15}) - 8;
    registers[REG_RIP] = reinterpret_cast<int64_t>(&EndKernel);
    return;
  }
  if (TheState().device.Contains(info->si_addr)) {
    Write("emulated driver: the host touched device memory\n");
  }
  if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    sigaction(SIGSEGV, &before, nullptr);  // it happens again, and ends the program
  }
}

}  // namespace

void InstallGuard() {
  struct sigaction action{};
  action.sa_sigaction = OnSignal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, &before);
}

bool IsAddressFault(const std::string& fault) { return fault.rfind(kAddressFault, 0) == 0; }

}  // namespace nativespec::driver
