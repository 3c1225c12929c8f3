#!/bin/bash
# Makes the initial RAM disk of the toolstack dom0 from a Debian kernel package unpacked by `make setup`.
#
# usage: make-boot.sh OUTPUT KERNEL_DIRECTORY FILE...
# KERNEL_DIRECTORY has `modules`; toolstack/boot/init becomes /init; the modules of toolstack/modules are taken along with
# everything they depend on; each FILE goes to /toolstack, which the running dom0 sees as /run/toolstack.
set -euo pipefail
output=$1 kernel=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../initrd.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
busybox_root "$work/root"
mkdir -p "$work/root/toolstack"
cp "$here/boot/init" "$work/root/init"
cp "$here/modules" "$work/root/modules"
cp "$@" "$work/root/toolstack/"
chmod +x "$work/root/init"
take_modules "$kernel" "$work/root" "$(grep -v '^#' "$here/modules" | cut -d ' ' -f 1)"
pack "$work/root" "$output"
