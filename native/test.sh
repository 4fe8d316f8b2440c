#!/usr/bin/env bash
# Builds the native library into runtimes/<rid>/native and runs its tests: plain, under the address and undefined-behaviour sanitizers, and
# the thread team under the thread sanitizer; then the NEON level under qemu, where a cross compiler and qemu are installed. With `build` as
# argument it only builds. Needs cmake, ninja and a C++20 compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

case "$(uname -s)" in
  Darwin) os=osx ;;
  *) os=linux ;;
esac
case "$(uname -m)" in
  aarch64 | arm64) rid=$os-arm64 ;;
  *) rid=$os-x64 ;;
esac

configure_and_build() { # folder, target, further options of cmake
  local folder=build/native-$1 target=$2
  shift 2
  cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release "$@" >/dev/null
  cmake --build "$folder" --target "$target" -- --quiet
}

configure_and_build plain all
mkdir -p "artifacts/runtimes/$rid/native"
cp build/native-plain/libnativespec.* "artifacts/runtimes/$rid/native/"
if [ "${1:-test}" = build ]; then
  exit 0
fi

ctest --test-dir build/native-plain --output-on-failure --no-tests=error

# Optimised little: the checks are what matters here, and the kernels' many instances are slow to compile.
configure_and_build address all -DNATIVESPEC_SANITIZE=address,undefined -DCMAKE_CXX_FLAGS_RELEASE=-O1
ctest --test-dir build/native-address --output-on-failure --no-tests=error

configure_and_build thread thread_team_test -DNATIVESPEC_SANITIZE=thread
ctest --test-dir build/native-thread --output-on-failure --no-tests=error -R thread_team_test

if ! command -v aarch64-linux-gnu-g++ >/dev/null || ! command -v qemu-aarch64-static >/dev/null; then
  echo "skipped: the NEON level needs aarch64-linux-gnu-g++ and qemu-aarch64-static (packages g++-aarch64-linux-gnu, qemu-user-static)"
elif [ "$rid" != linux-arm64 ]; then
  configure_and_build neon all -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
    -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64-static;-L;/usr/aarch64-linux-gnu"
  ctest --test-dir build/native-neon --output-on-failure --no-tests=error
fi
