#!/usr/bin/env bash
# Makes artifacts/gpu: one folder that checks and measures the CUDA back end on a Linux machine with an x86-64 processor and a driver and nothing else
# installed (check.sh in it). It has at most 30 MB beside the model that comes with the repository; what is large in it is packed by gzip until the first check.
# Its programs want the C library of the machine that made them, or a newer one.
# It takes what native/test.sh takes, brotli, and the linker that .NET's native AOT needs. Where NVIDIA's assembler is, the kernels go along as machine code too.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v brotli >/dev/null || { echo "the folder holds the kernels' PTX unpacked: install brotli" >&2; exit 1; }
native/test.sh build
native/test.sh gpu
if native/cubins.sh tools; then native/cubins.sh; fi

out=artifacts/gpu
rm -rf "$out"
mkdir -p "$out/ptx" "$out/bin" "$out/tests/NativeSpec.Tests"
cp native/gpu/check.sh native/gpu/peers.py build/native-plain/native/tests/cuda/cuda_check "$out"
for image in kernels/cuda/ptx/*.ptx.br; do
  brotli --decompress --output="$out/ptx/$(basename "$image" .br)" "$image"
done
cp -r models/doc-comments "$out/model"
cp -r tests/NativeSpec.Tests/Golden "$out/tests/NativeSpec.Tests"
# Of the families those that compute otherwise on a device: not those that differ from llama and phi3 in the angles alone, which the host makes, or in a name.
rm -rf "$out"/tests/NativeSpec.Tests/Golden/{*.cs,llama-rope-*,mistral-full,phi3-longrope}

# The command, and the tests with NUnit's own runner.
publish() { # project, options
  dotnet publish "$1" -c Release --verbosity minimal -r linux-x64 -p:PublishAot=true -p:StripSymbols=true "${@:2}" -o "artifacts/gpu-programs/$(basename "$1")"
}
rm -rf artifacts/gpu-programs
publish src/NativeSpec.Cli -p:StackTraceSupport=false
publish tests/NativeSpec.CudaCheck
cp artifacts/gpu-programs/NativeSpec.Cli/NativeSpec.Cli "$out/bin"
cp artifacts/gpu-programs/NativeSpec.CudaCheck/{NativeSpec.CudaCheck,libnativespec.so} "$out/bin"
[ ! -d artifacts/gpu-programs/NativeSpec.CudaCheck/cuda ] || cp -r artifacts/gpu-programs/NativeSpec.CudaCheck/cuda "$out/bin"
# .NET's JSON takes random numbers from OpenSSL, which a bare machine need not have.
mkdir -p "$out/lib"
for library in libssl.so.3 libcrypto.so.3; do
  path=$({ PATH=$PATH:/sbin:/usr/sbin ldconfig -p || true; } | awk -v name="$library" '$1 == name && /x86-64/ && !n++ { print $NF }')
  if [ -n "$path" ]; then cp -L "$path" "$out/lib"; else echo "left out: $library, which is not here" >&2; fi
done
strip "$out/cuda_check" 2>/dev/null || true
find "$out/ptx" "$out/lib" "$out/bin" -type f ! -name libnativespec.so -exec gzip -9 {} +

size=$(du -sk --exclude=model "$out" | cut -f 1)
echo "$out: $((size / 1024)) MB and the model, for machines with $(getconf GNU_LIBC_VERSION) or newer; run check.sh in it"
[ "$size" -le 30720 ] || { echo "that is more than 30 MB" >&2; exit 1; }
