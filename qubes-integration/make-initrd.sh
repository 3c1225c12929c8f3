#!/bin/bash
# Makes an initial RAM disk for a busybox dom0 from a Debian kernel package unpacked by `make setup`.
#
# usage: make-initrd.sh KERNEL_DIRECTORY OUTPUT [PACKAGES]
# KERNEL_DIRECTORY has `modules`; the files of dom0/ become /init and its helpers; the modules named in dom0/modules are
# taken along with everything they depend on. PACKAGES is a directory of unpacked packages, one folder each: stress-ng, the
# C compiler proper and their shared libraries are taken from there.
set -euo pipefail
kernel=$1 output=$2 packages=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
modules=$(readlink -f "$kernel/modules")
version=$(basename "$modules")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,dev,etc,lib/modules/"$version",mnt,proc,root,run,sys,tmp}
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $("$root/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
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
    [ -e "$libraries/libc.so.6" ] || { echo "make-initrd: no C library in $packages" >&2; exit 1; }
fi

# A module's file and, after it, the files it needs, as the package's index has them.
files_of() {
    grep -E "(^|/)$(echo "$1" | sed 's/[-_]/[-_]/g')\.ko:" "$modules/modules.dep" | tr -d : | tr ' ' '\n'
}
while read -r name; do
    files_of "$name" || { [ ! -e "$modules/modules.builtin" ] ||
        grep -qE "/$(echo "$name" | sed 's/[-_]/[-_]/g')\.ko" "$modules/modules.builtin" ||
        { echo "make-initrd: kernel $version has no module $name" >&2; exit 1; }; }
done < <(grep -v '^#' "$here/dom0/modules") | sort -u | while read -r file; do
    mkdir -p "$root/lib/modules/$version/$(dirname "$file")"
    cp "$modules/$file" "$root/lib/modules/$version/$file"
done
cp "$modules"/modules.{builtin,order} "$root/lib/modules/$version/"
# Its one complaint, that no list of built-in modules' parameters exists, does not matter here.
PATH=$PATH:/sbin:/usr/sbin depmod -b "$root" "$version" 2>&1 | grep -v modules.builtin.modinfo >&2 || true

mkdir -p "$(dirname "$output")"
(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 > "$output.part"
mv "$output.part" "$output"
