#!/usr/bin/env bash
# Assembles the kernels' PTX (kernels/cuda/ptx) with NVIDIA's assembler: ptxas from CUDA 12 on, which PTXAS names, or which lies in PATH or in /usr/local/cuda.
#     artifacts/cuda/sm_80-DIGEST.cubin   for parts from sm_80 to sm_89
#     artifacts/cuda/sm_90a-DIGEST.cubin  for sm_90
# A build takes them along, and the CUDA back end takes them before the PTX, which a driver has to compile first. They are never committed. DIGEST says of which
# kernels they are, so what is there is not made again; it fails where a kernel spills registers.
# With `registers` as argument it makes them in any case and prints what registers every kernel takes; with `tools` it only says by its exit code whether it can.
set -euo pipefail
cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null; }
if [ -z "${PTXAS:-}" ]; then
  PTXAS=ptxas
  has ptxas || PTXAS=/usr/local/cuda/bin/ptxas
fi
new_enough() { "$PTXAS" --version | awk '/release/ { for (i = 1; i < NF; ++i) if ($i == "release") major = $(i + 1) + 0 } END { exit major < 12 }'; }
if ! has "$PTXAS" || ! has brotli || ! new_enough; then
  [ "${1:-}" = tools ] || echo "cubins.sh needs NVIDIA's ptxas from CUDA 12 on, and brotli" >&2
  exit 1
fi
[ "${1:-}" != tools ] || exit 0

digest=$(head -c 16 kernels/cuda/ptx/sources.sha256)
out=artifacts/cuda
mkdir -p "$out"
work=$(mktemp -d "$out/new.XXXXXX") # beside what it becomes, so that a file is there as a whole or not at all
trap 'rm -rf "$work"' EXIT
if [ "${1:-}" != registers ] && [ -s "$out/sm_80-$digest.cubin" ] && [ -s "$out/sm_90a-$digest.cubin" ]; then
  exit 0
fi
find "$out" -maxdepth 1 -name '*.cubin' ! -name "*-$digest.cubin" -delete
for arch in sm_80 sm_90 sm_90a; do
  brotli --decompress --output="$work/$arch.ptx" "kernels/cuda/ptx/$arch.ptx.br"
  "$PTXAS" -v -arch="$arch" -o "$work/$arch.cubin" "$work/$arch.ptx" 2>"$work/$arch.log" || { cat "$work/$arch.log" >&2; exit 1; }
  # A thread may have 96 registers beside 64 rows and 168 beside 128, since of two blocks of nine warps five are on one of four schedulers, and of one three.
  awk -v arch="$arch" -v told="${1:-}" '
    /Compiling entry function/ { split($0, part, "\x27"); name = part[2] }
    /bytes spill stores/ { for (i = 3; i <= NF; ++i) if ($i == "spill" && $(i + 1) ~ /^stores/) spilled = $(i - 2) + 0 }
    /Used .* registers/ {
      for (i = 1; i <= NF; ++i) if (told == "registers" && $i ~ /^registers,?$/) printf "%s %s: %s registers%s\n", arch, name, $(i - 1), spilled ? ", " spilled " bytes of spills" : ""
      if (spilled) { printf "%s %s spills %d bytes\n", arch, name, spilled; failed = 1 }
      ++kernels
      spilled = 0
    }
    END {
      if (kernels == 0) print "ptxas named no kernel"
      exit failed || kernels == 0
    }' "$work/$arch.log"
done
for arch in sm_80 sm_90a; do # sm_90 takes sm_90a; what is newer takes PTX
  mv "$work/$arch.cubin" "$out/$arch-$digest.cubin"
done
