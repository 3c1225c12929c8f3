#!/bin/bash
# Makes the read-only disk of what dom0 starts as guests: kernels, their initial RAM disk, disk images.
#
# usage: make-guests.sh OUTPUT KERNEL...
# Each KERNEL is a Debian kernel package unpacked by `make setup`, in a directory whose name is linux-SERIES.
# On the disk: linux-SERIES (the kernel as Debian ships it), initrd-SERIES, backend-SERIES, pattern.raw (known contents, their hash in
# pattern.md5), boot-SERIES.raw (a disk that Debian's PV GRUB boots from), example.cfg.
set -euo pipefail
output=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../initrd.sh"
PATH=$PATH:/sbin:/usr/sbin

mkdir -p "$(dirname "$output")"
work=$(mktemp -d "$(dirname "$output")/guests.XXXXXX")
trap 'rm -rf "$work"' EXIT
disk=$work/disk
mkdir -p "$disk"
{ yes 'a line of known contents' || true; } | head -c $((4 << 20)) > "$disk/pattern.raw"
md5sum < "$disk/pattern.raw" | cut -d ' ' -f 1 > "$disk/pattern.md5"
for kernel; do
    series=$(basename "$kernel")
    series=${series#linux-}
    cp -L "$kernel/vmlinuz" "$disk/linux-$series"
    root=$work/root-$series
    busybox_root "$root"
    cp "$here/guest/init" "$root/init"
    # The kernel runs these when the toolstack asks for an end; the shell that is the first process would not hear a signal.
    mkdir "$root/sbin"
    for ending in poweroff reboot; do
        printf '#!/bin/sh\nexec /bin/busybox %s -f\n' $ending > "$root/sbin/$ending"
    done
    chmod +x "$root/init" "$root/sbin"/*
    printf '%s\n' xen-blkfront xen-netfront > "$root/modules"
    take_modules "$kernel" "$root" 'xen-blkfront xen-netfront'
    pack "$root" "$disk/initrd-$series"
    # The same for a guest that serves other guests: its init hands over to a Debian root with Xen's tools.
    cp "$here/guest/backend" "$root/init"
    printf '%s\n' xen-blkfront xen-netfront crc32c_generic ext4 > "$root/modules"
    take_modules "$kernel" "$root" 'xen-blkfront xen-netfront crc32c_generic ext4 xen-blkback xen-netback xen-evtchn
        xen-gntdev xen-gntalloc xen-privcmd xenfs loop bridge'
    pack "$root" "$disk/backend-$series"
    mkdir -p "$work/boot/boot/grub"
    cp "$disk/linux-$series" "$work/boot/boot/vmlinuz"
    cp "$disk/initrd-$series" "$work/boot/boot/initrd.img"
    cat > "$work/boot/boot/grub/grub.cfg" <<'MENU'
set timeout=0
menuentry "Debian from its own disk" {
    linux /boot/vmlinuz console=hvc0 quiet checks=memory,clock,kernel bydisk=1
    initrd /boot/initrd.img
}
MENU
    truncate -s 32M "$disk/boot-$series.raw"
    mke2fs -q -t ext2 -m 0 -L guest -d "$work/boot" "$disk/boot-$series.raw"
done
cat > "$disk/example.cfg" <<'EXAMPLE'
name = "example"
kernel = "/mnt/guests/linux-6.1"
ramdisk = "/mnt/guests/initrd-6.1"
memory = 128
vcpus = 1
vif = [ "bridge=xenbr0" ]
disk = [ "/mnt/guests/pattern.raw,raw,xvda,r" ]
extra = "console=hvc0 quiet checks=memory,clock,kernel cpus=1"
EXAMPLE
megabytes=$(($(du -sm "$disk" | cut -f 1) + 24))
truncate -s "${megabytes}M" "$work/image"
mke2fs -q -t ext4 -O ^has_journal -m 0 -L guests -d "$disk" "$work/image"
mv "$work/image" "$output"
