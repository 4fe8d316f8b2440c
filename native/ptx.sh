#!/usr/bin/env bash
# Compiles the CUDA kernels to PTX, which every driver compiles for its device, with clang and no toolkit:
#     kernels/cuda/ptx/sm_80.ptx.br   from sm_80 on
#     kernels/cuda/ptx/sm_90.ptx.br   from sm_90 on, with bulk copies
#     kernels/cuda/ptx/sm_90a.ptx.br  sm_90 alone, with products of four warps
#     kernels/cuda/ptx/sources.sha256 what they were made from; a test of the C# suite says when that has changed
# These files are committed, so that whoever builds NativeSpec needs none of this. It takes clang from 16 on (any that CLANG names) and brotli.
# native/cubins.sh has them assembled by NVIDIA's assembler, where that is, which alone reads the instructions written in PTX.
set -euo pipefail
cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null; }
if [ -z "${CLANG:-}" ]; then
  for version in 21 20 19 18 17 16; do
    if has "clang++-$version"; then CLANG=clang++-$version; break; fi
  done
fi
: "${CLANG:=clang++}"
if ! has "$CLANG" || ! has brotli; then
  echo "ptx.sh needs clang from 16 on and brotli (packages clang-19 and brotli of Debian)" >&2
  exit 1
fi

out=kernels/cuda/ptx
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

# PTX no newer than what the kernels use, since drivers refuse what is newer than they are: 7.1 has all for sm_80, 8.0 bulk copies and wgmma.
compile() { # architecture, version of PTX
  local file name
  for file in kernels/cuda/*.cu; do
    name=$(basename "$file" .cu)
    "$CLANG" -x cuda --cuda-device-only "--cuda-gpu-arch=$1" -nocudainc -nocudalib "--cuda-feature=+ptx$2" -O3 -std=c++20 -Wno-pass-failed -Wno-unknown-cuda-version \
      -S -o "$work/$name.ptx" "$file"
  done
  # One module: one head, and what every file declares once. Comments and indentation are of no use to a driver.
  cat "$work"/*.ptx | awk '
    { sub(/\/\/.*/, ""); gsub(/^[ \t]+|[ \t]+$/, ""); gsub(/[ \t]+/, " ") }
    $0 == "" { next }
    /^\.(version|target|address_size|extern) / { if (seen[$0]++) next }
    { print }' >"$work/$1"
  brotli --force --best --lgwin=24 --output="$out/$1.ptx.br" "$work/$1"
  rm "$work"/*.ptx
  echo "$1: $(wc -c <"$work/$1") bytes of PTX, $(wc -c <"$out/$1.ptx.br") packed"
}

compile sm_80 71
compile sm_90 80
compile sm_90a 80

# Names and contents of all sources in the order of their names.
{
  for file in kernels/cpu/quantized.h $(LC_ALL=C printf '%s\n' kernels/cuda/*.cu kernels/cuda/*.h | LC_ALL=C sort); do
    printf '%s\n' "$file"
    cat "$file"
  done
} | tr -d '\r' | sha256sum | cut -d ' ' -f 1 >"$out/sources.sha256"
