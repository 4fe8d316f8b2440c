#!/usr/bin/env bash
# Builds the native library into artifacts/runtimes/<rid>/native, and on Linux with an x86-64 processor the emulated CUDA driver into
# artifacts/cuda-emulator, and runs their tests: plain, under the address and undefined-behaviour sanitizers, and the thread team and the CUDA
# kernels' threads under the thread sanitizer; then the NEON level under qemu, where a cross compiler and qemu are installed.
# With `build` as argument it only builds, and with `tools` it only says by its exit code whether it could: that takes cmake, ninja or make,
# and a C++20 compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null; }

if [ "${1:-test}" = tools ]; then
  has cmake && { has ninja || has make; } && { has "${CXX:-c++}" || has g++ || has clang++; }
  exit
fi

case "$(uname -s)" in
  Darwin) os=osx ;;
  *) os=linux ;;
esac
case "$(uname -m)" in
  aarch64 | arm64) rid=$os-arm64 ;;
  *) rid=$os-x64 ;;
esac
if has ninja; then export CMAKE_GENERATOR=Ninja; fi

configure_and_build() { # folder, target, further options of cmake
  local folder=build/native-$1 target=$2 log
  shift 2
  mkdir -p "$folder"
  log=$folder/build.log
  cmake -S . -B "$folder" -DCMAKE_BUILD_TYPE=Release "$@" >"$log" 2>&1 &&
    cmake --build "$folder" --target "$target" --parallel "$(getconf _NPROCESSORS_ONLN)" >>"$log" 2>&1 || {
    cat "$log" >&2
    return 1
  }
}

run_tests() { # folder, further options of ctest
  echo "== native, $1"
  ctest --test-dir "build/native-$1" --output-on-failure --no-tests=error --parallel "$(getconf _NPROCESSORS_ONLN)" "${@:2}"
}

keep() { # library, folder
  local kept=$2/$(basename "$1")
  mkdir -p "$2"
  # Moved into place: a process that runs the old library keeps it.
  cmp -s "$1" "$kept" || { cp "$1" "$kept.new" && mv "$kept.new" "$kept"; }
}

case "${1:-test}" in
  build) target=product ;;
  gpu) target=cuda_check ;; # for native/gpu.sh
  *) target=all ;;
esac
configure_and_build plain "$target"
if [ "$target" = cuda_check ]; then
  exit 0
fi
for library in build/native-plain/libnativespec.*; do
  keep "$library" "artifacts/runtimes/$rid/native"
done
if [ -e build/native-plain/cuda-emulator/libcuda.so.1 ]; then
  keep build/native-plain/cuda-emulator/libcuda.so.1 artifacts/cuda-emulator
fi
if [ "${1:-test}" = build ]; then
  exit 0
fi

run_tests plain

# Optimised little: the checks are what matters here, and the kernels' many instances are slow to compile.
configure_and_build address all -DNATIVESPEC_SANITIZE=address,undefined -DCMAKE_CXX_FLAGS_RELEASE=-O1
run_tests address

configure_and_build thread thread_checks -DNATIVESPEC_SANITIZE=thread -DCMAKE_CXX_FLAGS_RELEASE=-O1
run_tests thread -R '^(thread_team_test|cuda_race_|cuda_mutant_)'

if [ "$rid" = linux-arm64 ]; then
  exit 0 # the plain tests were those of NEON
fi
if ! has aarch64-linux-gnu-g++ || ! has qemu-aarch64-static; then
  echo "skipped: the NEON level needs aarch64-linux-gnu-g++ and qemu-aarch64-static (packages g++-aarch64-linux-gnu, qemu-user-static)"
  exit 0
fi
configure_and_build neon all -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64-static;-L;/usr/aarch64-linux-gnu"
run_tests neon
