#!/usr/bin/env bash
# Runs artifacts/gpu/check.sh quick on the emulated driver in a root folder that has nothing but the folder, that driver, the C library, and the shell and its tools: what is to run on a
# machine with a driver and nothing else must not need more. It takes artifacts/gpu (native/gpu.sh) and the right to change the root folder.
# With `tools` as argument it only says by its exit code whether there is that.
set -euo pipefail
cd "$(dirname "$0")/../.."

apart() { unshare --user --map-root-user --mount --pid --fork "$@"; }
if [ "${1:-}" = tools ]; then
  apart true 2>/dev/null
  exit
fi

root=artifacts/bare-root
rm -rf "$root"
mkdir -p "$root"/{bin,dev,driver,proc,tmp}
cp -r artifacts/gpu "$root/gpu"
cp artifacts/cuda-emulator/libcuda.so.1 "$root/driver"
tools=(awk bash cat date dirname gzip rm tee timeout)
for tool in "${tools[@]}"; do cp -L "$(command -v "$tool")" "$root/bin"; done
# What they load.
libraries() { ldd "$@" 2>/dev/null | awk '{ for (i = 1; i <= NF; ++i) if ($i ~ /^\//  && $i !~ /:$/) print $i }' | sort -u; }
libraries "$root"/bin/* | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
c=$(dirname "$(libraries "$root/bin/bash" | grep '/libc\.so\.6$')")
for name in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do cp -L "$c/$name" "$root$c"; done # the C library, whole

touch "$root"/dev/{null,urandom}
run='mount -t proc proc "$0/proc"; for device in null urandom; do mount --bind /dev/$device "$0/dev/$device"; done; exec chroot "$0" /bin/bash /gpu/check.sh quick'
export NATIVESPEC_CUDA_LIBRARY=/driver/libcuda.so.1
apart sh -c "$run" "$root"
