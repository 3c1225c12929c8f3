#!/bin/bash
# Makes the root file system of a dom0 with Debian's toolstack: unmodified Debian packages in an ext4 image.
#
# usage: make-root.sh OUTPUT PACKAGES SOURCES
# PACKAGES is a list such as packages-4.17, SOURCES a sources.list that has its release. Needs mmdebstrap and root.
# The image holds packages only: init, scenarios and kernel modules come from the initial RAM disk (make-boot.sh), so
# that a change of those makes no new image.
set -euo pipefail
output=$1 packages=$2 sources=$3
words=$(grep -v '^#' "$packages")
suite=$(echo "$words" | sed -n 's/^suite=//p')
names=$(echo "$words" | grep -v '^suite=' | paste -sd ,)

mkdir -p "$(dirname "$output")"
work=$(mktemp -d "$(dirname "$output")/root.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
exclude() { printf -- '--dpkgopt=path-exclude=%s ' "$@"; }
# shellcheck disable=SC2046 # each word is an option
mmdebstrap --quiet --variant=minbase --include="$names" --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt=force-unsafe-io $(exclude '/usr/share/man/*' '/usr/share/doc/*' '/usr/share/locale/*' '/usr/share/info/*') \
    "$suite" "$root" "$sources"
# What the machine it was made on leaves behind, and what would differ from one making to the next.
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/* "$root"/tmp/* "$root"/boot/*
rm -f "$root"/etc/resolv.conf "$root"/etc/machine-id
echo dom0 > "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 dom0\n' > "$root/etc/hosts"
megabytes=$(($(du -sm "$root" | cut -f 1) + 512))
rm -f "$output.part"
truncate -s "${megabytes}M" "$output.part"
PATH=$PATH:/sbin:/usr/sbin mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -m 0 -L dom0 -d "$root" "$output.part"
mv "$output.part" "$output"
