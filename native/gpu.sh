#!/usr/bin/env bash
# Makes artifacts/gpu: one folder that checks and measures the CUDA back end on a Linux machine with an x86-64 processor and a driver and nothing else
# installed (check.sh in it). It has at most 30 MB beside the model that comes with the repository. It takes what native/test.sh takes, brotli, and the
# linker that .NET's native AOT needs.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v brotli >/dev/null || { echo "the folder holds the kernels' PTX unpacked: install brotli" >&2; exit 1; }
native/test.sh gpu
out=artifacts/gpu
mkdir -p "$out/ptx"
cp native/gpu/check.sh build/native-plain/native/tests/cuda/cuda_check "$out"
for image in kernels/cuda/ptx/*.ptx.br; do
  brotli --decompress --force --output="$out/ptx/$(basename "$image" .br)" "$image"
done
rm -rf "$out/model" "$out/bin"
cp -r models/doc-comments "$out/model"
dotnet publish src/NativeSpec.Cli -c Release --verbosity minimal -r linux-x64 -p:PublishAot=true -p:StripSymbols=true -p:StackTraceSupport=false -o "$out/bin"
rm -f "$out"/bin/*.dbg "$out"/bin/*.pdb "$out"/bin/*.xml
# .NET's hashes come from OpenSSL, which a bare machine need not have.
mkdir -p "$out/lib"
for library in libssl.so.3 libcrypto.so.3; do
  path=$({ PATH=$PATH:/sbin:/usr/sbin ldconfig -p || true; } | awk -v name="$library" '$1 == name && /x86-64/ && !n++ { print $NF }')
  [ -z "$path" ] || cp -L "$path" "$out/lib"
done
strip "$out/cuda_check" 2>/dev/null || true
size=$(du -sk --exclude=model "$out" | cut -f 1)
echo "$out: $((size / 1024)) MB and the model; run check.sh in it"
[ "$size" -le 30720 ] || { echo "that is more than 30 MB" >&2; exit 1; }
