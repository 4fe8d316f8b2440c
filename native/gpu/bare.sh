#!/usr/bin/env bash
# Runs artifacts/gpu/check.sh quick on the emulated driver in a root folder that has nothing but the folder, that driver, the C library, and the shell and its tools: what is to run on a
# machine with a driver and nothing else must not need more. It takes artifacts/gpu (native/gpu.sh) and the right to change the root folder.
# With `tools` as argument it only says by its exit code whether there is that.
set -euo pipefail
cd "$(dirname "$0")/../.."

# A process of its own view of the machine, with the root folder that it is given as $0 and in which it begins with these mounts.
apart() { # root folder, command
  mkdir -p "$1"/{dev,proc}
  touch "$1"/dev/{null,urandom}
  unshare --user --map-root-user --mount --pid --fork sh -c '
    mount -t proc proc "$0/proc" && mount --bind /dev/null "$0/dev/null" && mount --bind /dev/urandom "$0/dev/urandom" && '"$2" "$1"
}
if [ "${1:-}" = tools ]; then
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  apart "$root" 'chroot "$0" true || [ $? = 127 ]' 2>/dev/null
  exit
fi

root=artifacts/bare-root
rm -rf "$root"
mkdir -p "$root"/{bin,dev,driver,tmp}
ln -s /proc/self/fd "$root/dev/fd"
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

export NATIVESPEC_CUDA_LIBRARY=/driver/libcuda.so.1
apart "$root" 'exec chroot "$0" /bin/bash /gpu/check.sh quick'
tail -n 1 "$root/gpu/check.log" | grep -Eq '^[1-9][0-9]* passed, 0 failed$' || { echo "check.log does not end with the count" >&2; exit 1; }
