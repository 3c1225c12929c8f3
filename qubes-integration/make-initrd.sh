#!/bin/bash
# Makes an initial RAM disk for a busybox dom0 from a Debian kernel package unpacked by `make setup`.
#
# usage: make-initrd.sh KERNEL_DIRECTORY OUTPUT [PACKAGES]
# KERNEL_DIRECTORY has `modules`; the files of dom0/ become /init and its helpers; the modules named in dom0/modules are
# taken along with everything they depend on. PACKAGES is a directory of unpacked packages, one folder each: stress-ng, the
# C compiler proper and their shared libraries are taken from there, and workload.c is built beside them.
set -euo pipefail
kernel=$1 output=$2 packages=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/initrd.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
busybox_root "$root"
cp "$here"/dom0/* "$root/"
chmod +x "$root/init"

if [ -n "$packages" ]; then
    libraries=$root/lib/x86_64-linux-gnu
    mkdir -p "$libraries" "$root/lib64" "$root/usr/lib"
    cp -P "$packages"/*/{,usr/}lib/x86_64-linux-gnu/*.so* "$libraries/" 2>/dev/null || true
    ln -s ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "$root/lib64/ld-linux-x86-64.so.2"
    ln -s ../../lib/x86_64-linux-gnu "$root/usr/lib/x86_64-linux-gnu"
    cp "$packages/stress-ng/usr/bin/stress-ng" "$root/bin/"
    cp "$packages/cpp-12/usr/lib/gcc/x86_64-linux-gnu/12/cc1" "$root/bin/"
    gcc -O2 -static -Wall -o "$root/bin/workload" "$here/workload.c"
    [ -e "$libraries/libc.so.6" ] || { echo "make-initrd: no C library in $packages" >&2; exit 1; }
fi

take_modules "$kernel" "$root" "$(grep -v '^#' "$here/dom0/modules")"
pack "$root" "$output"
