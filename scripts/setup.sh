#!/bin/bash
# Prepares a Debian 12 machine for building and testing; run by `make setup`, safe to run again.
#
# 1. Installs the packages that the build and the tests call (as root; nothing happens when all are there).
# 2. Unpacks, without installing them, the hypervisor we compare with and the kernels we boot, into the cache.
# 3. Fetches the crates named by Cargo.lock.
# 4. Makes the root file system of a Debian dom0 with Xen's tools, of the versions in TOOLS (4.17; 4.20 is there too).
# 5. Unpacks further kernels for guests, those in GUEST_KERNELS (none; 5.10 is there).
# The cache is XENOLITH_CACHE, or xenolith in the user's cache directory. A second run needs no network.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${XENOLITH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xenolith}
packages=(
    # build: Debian's web compilers are newer than its stable one and ship core's source
    rustc-web cargo-web rust-web-src rust-web-llvm rust-web-clippy lld-22 binutils gcc libc6-dev make
    # boot images
    seabios grub-pc-bin grub-common xorriso mtools
    # dom0 images, and one compressor per kernel payload format
    busybox-static mmdebstrap cpio kmod e2fsprogs gzip zstd xz-utils lz4 lzop bzip2
    # layouts to compare with
    libxen-dev
)
# What the stress scenario takes into its dom0: stress-ng, the C compiler proper, and every library they name. Unpacked
# into the cache, never installed.
stress=(
    stress-ng cpp-12 libc6 libapparmor1 libbsd0 libcrypt1 libdrm2 libegl1 libexpat1 libffi8 libgbm1 libgles2 libglvnd0 libgmp10
    libipsec-mb1 libisl23 libjpeg62-turbo libjudydebian1 libkmod2 liblzma5 libmd0 libmpc3 libmpfr6 libsctp1 libssl3
    libwayland-server0 libxxhash0 libzstd1 zlib1g
)
# From backports: the emulator (Debian 12's own 7.2 mis-emulates SMAP below a PV dom0).
backported=(qemu-system-x86)
emulator_at_least=10
# The Debian that ships Xen 4.20.
later=trixie

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

emulator_is_new() {
    local version
    version=$(qemu-system-x86_64 --version 2>/dev/null | sed -n 's/.*version \([0-9]*\)\..*/\1/p;q')
    [ -n "$version" ] && [ "$version" -ge "$emulator_at_least" ]
}

# A private apt configuration: the machine's own sources plus backports from the same mirror. Its lists live in the
# cache, so the machine's configuration stays untouched.
apt_private() {
    apt-get -qq -o Dir::Etc::sourceparts="$cache/apt/sources.list.d" -o Dir::State::Lists="$cache/apt/lists" \
        -o Dir::Cache::archives="$cache/apt/archives" -o APT::Sandbox::User=root "$@"
}

# Where the machine gets Debian from: the repository that serves this release's main component.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Release: $release" 'Component: main' | head -n 1
}

update_lists() {
    [ -z "${lists_are_fresh:-}" ] || return 0
    local uri options=
    uri=$(mirror)
    [ -n "$uri" ] || fail "apt has no source for Debian $release main; cannot tell where packages come from"
    rm -rf "$cache/apt/sources.list.d"
    mkdir -p "$cache/apt/sources.list.d" "$cache/apt/lists/partial" "$cache/apt/archives/partial"
    cp -a /etc/apt/sources.list.d/. "$cache/apt/sources.list.d/" 2>/dev/null || true
    if [ -z "$(apt-get indextargets --format x 'Created-By: Packages' "Release: $release-backports")" ]; then
        [ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ] ||
            options='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] '
        echo "deb $options$uri $release-backports main" > "$cache/apt/sources.list.d/xenolith-backports.list"
    fi
    say "reading package lists"
    apt_private update
    lists_are_fresh=yes
}

install_packages() {
    local missing=() name
    for name in "${packages[@]}"; do installed "$name" || missing+=("$name"); done
    if [ ${#missing[@]} -eq 0 ] && emulator_is_new; then return 0; fi
    [ "$(id -u)" -eq 0 ] || fail "run as root to install: ${missing[*]} $(emulator_is_new || echo "${backported[*]}")"
    update_lists
    export DEBIAN_FRONTEND=noninteractive
    if ! emulator_is_new; then
        say "installing ${backported[*]} from backports"
        apt_private install -y --no-install-recommends -t "$release-backports" "${backported[@]}" seabios >/dev/null
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        say "installing ${missing[*]}"
        apt_private install -y --no-install-recommends "${missing[@]}" >/dev/null
    fi
    emulator_is_new || fail "QEMU $emulator_at_least or newer is needed and $release-backports did not give it"
}

# unpack DIRECTORY PACKAGE[/SUITE]: the package's files under the cache, without installing it.
unpack() {
    local directory=$cache/$1 package=$2 work
    [ ! -e "$directory/.complete" ] || return 0
    update_lists
    say "fetching $package"
    work=$(mktemp -d)
    (cd "$work" && apt_private download "$package") || fail "cannot download $package"
    rm -rf "$directory"
    mkdir -p "$directory"
    dpkg-deb -x "$work"/*.deb "$directory"
    dpkg-deb -f "$work"/*.deb Package Version > "$directory/.package"
    rm -rf "$work"
    touch "$directory/.complete"
}

apt_private_cache() {
    apt-cache -o Dir::Etc::sourceparts="$cache/apt/sources.list.d" -o Dir::State::Lists="$cache/apt/lists" "$@"
}

# newest SERIES: of what a metapackage stands for (its records on the input), the newest kernel of a series, if any.
newest() {
    sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | grep -F "linux-image-$1." | sort -V | tail -n 1 || true
}

# index DIRECTORY: makes an unpacked kernel's module index and the links `vmlinuz` and `modules`.
index() {
    local directory=$cache/$1 version
    version=$(basename "$directory"/lib/modules/*)
    # Busybox knows no compressed modules; the index is made after unpacking so that it names the plain files.
    find "$directory/lib/modules" -name '*.ko.xz' -exec xz -d {} +
    PATH=$PATH:/sbin:/usr/sbin depmod -b "$directory" "$version"
    ln -sfn "boot/vmlinuz-$version" "$directory/vmlinuz"
    ln -sfn "lib/modules/$version" "$directory/modules"
}

# kernel DIRECTORY SERIES: unpacks the newest kernel of a series that Debian's metapackage stands for in any suite.
kernel() {
    local directory=$1 series=$2 package
    if [ ! -e "$cache/$directory/modules" ]; then
        update_lists
        package=$(apt_private_cache show linux-image-amd64 | newest "$series")
        [ -n "$package" ] || fail "no Debian kernel $series found"
        unpack "$directory" "$package"
        index "$directory"
    fi
}

# Another Debian (the later one unless `later` says otherwise), for what it ships newer or older: its lists lie apart from
# ours, so that nothing is ever installed from it.
apt_later() {
    local command=$1
    shift
    "$command" -qq -o Dir::Etc::sourcelist="$cache/apt-$later/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::Lists="$cache/apt-$later/lists" -o Dir::Cache="$cache/apt-$later" -o APT::Sandbox::User=root "$@"
}

update_later_lists() {
    [ -z "${later_lists_are_fresh:-}" ] || return 0
    local uri options=
    uri=$(mirror)
    [ -n "$uri" ] || return 1
    mkdir -p "$cache/apt-$later/lists/partial" "$cache/apt-$later/archives/partial"
    [ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ] ||
        options='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] '
    echo "deb $options$uri $later main" > "$cache/apt-$later/sources.list"
    say "reading package lists of Debian $later"
    apt_later apt-get update || return 1
    later_lists_are_fresh=yes
}

# unpack_later DIRECTORY PACKAGE: as `unpack`, from the later Debian. Returns 1 when that cannot be had.
unpack_later() {
    local directory=$cache/$1 package=$2 work
    [ ! -e "$directory/.complete" ] || return 0
    update_later_lists || return 1
    say "fetching $package of Debian $later"
    work=$(mktemp -d)
    (cd "$work" && apt_later apt-get download "$package") || return 1
    rm -rf "$directory"
    mkdir -p "$directory"
    dpkg-deb -x "$work"/*.deb "$directory"
    dpkg-deb -f "$work"/*.deb Package Version > "$directory/.package"
    rm -rf "$work"
    touch "$directory/.complete"
}

# guest_kernel SERIES: a kernel that only guests run, of the Debian before ours.
guest_kernel() {
    [ "$1" = 5.10 ] || fail "GUEST_KERNELS: there is no kernel $1 for guests; there is 5.10"
    [ ! -e "$cache/linux-$1/modules" ] || return 0
    (
        # Which lists are fresh was said of the other one.
        later=bullseye later_lists_are_fresh=
        update_later_lists || fail "cannot read the package lists of Debian $later"
        package=$(apt_later apt-cache show linux-image-amd64 | newest "$1")
        [ -n "$package" ] && unpack_later "linux-$1" "$package" || fail "cannot get a kernel $1 of Debian $later"
        index "linux-$1"
    )
}

# The public headers of Xen 4.20; those of 4.17 are installed.
later_headers() {
    unpack_later xen-headers-4.20 libxen-dev || {
        say "cannot get libxen-dev of Debian $later (is it on this machine's mirror?): the comparison of abi with" \
            "Xen 4.20's headers will fail until this script succeeds in it" >&2
    }
}

# plain VERSION: the unpacked hypervisor's image without its compression, as QEMU's -kernel takes it.
plain() {
    local directory=$cache/xen-$1
    [ -e "$directory/xen.elf" ] || {
        gzip -dc "$directory/boot/xen-$1-amd64.gz" > "$directory/xen.elf.part"
        mv "$directory/xen.elf.part" "$directory/xen.elf"
    }
}

# dom0_root VERSION: the root file system of a dom0 with that version of Xen's tools, from the suite that its list of packages
# names. The runner looks for it under the same name, made of the recipe's hash.
dom0_root() {
    local version=$1 recipes=qubes-integration/toolstack hash output sources
    [ -e "$recipes/packages-$version" ] || fail "there is no dom0 with tools $version; $recipes has packages-VERSION files"
    hash=$(cat "$recipes/packages-$version" "$recipes/make-root.sh" | sha256sum | cut -c 1-16)
    output=$cache/roots/dom0-$version-$hash.img
    [ ! -e "$output" ] || return 0
    [ "$(id -u)" -eq 0 ] || fail "run as root to make the root file system of a dom0 with xen-utils $version"
    if grep -qx "suite=$release" "$recipes/packages-$version"; then
        sources=$(own_sources)
    else
        update_later_lists || fail "Debian $later cannot be had; a dom0 with xen-utils $version needs it"
        sources=$cache/apt-$later/sources.list
    fi
    say "making the root of a dom0 with xen-utils $version (a few minutes)"
    "$recipes/make-root.sh" "$output" "$recipes/packages-$version" "$sources"
}

# The releases that this machine takes packages from, less backports.
own_sources() {
    local list=$cache/apt/root.list options=
    [ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ] ||
        options='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] '
    mkdir -p "$cache/apt"
    apt-get indextargets --format "deb $options\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' |
        grep -E "[ ]$release(-updates|-security)? main$" | sort -u > "$list"
    [ -s "$list" ] || fail "apt has no source for Debian $release main; cannot tell where packages come from"
    echo "$list"
}

hypervisor() {
    unpack xen-4.17 xen-hypervisor-4.17-amd64
    plain 4.17
    # The second reference.
    if unpack_later xen-4.20 xen-hypervisor-4.20-amd64; then plain 4.20
    else
        say "cannot get xen-hypervisor-4.20-amd64 of Debian $later (is it on this machine's mirror?): comparisons with" \
            "Xen 4.20 will be refused until this script succeeds in it" >&2
    fi
}

fetch_crates() {
    local stamp
    stamp=$cache/crates-$(sha256sum Cargo.lock | cut -c 1-16)
    [ ! -e "$stamp" ] || return 0
    say "fetching crates"
    /usr/bin/cargo fetch --quiet --locked
    rm -f "$cache"/crates-*
    touch "$stamp"
}

[ -r /etc/debian_version ] || fail "this is not Debian; Debian 12 is what the build is made for"
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
mkdir -p "$cache"
install_packages
hypervisor
later_headers
kernel linux-6.1 6.1
kernel linux-6.12 6.12
for version in ${TOOLS:-4.17}; do dom0_root "$version"; done
for name in ${GUEST_KERNELS:-}; do guest_kernel "$name"; done
for package in "${stress[@]}"; do unpack "stress/$package" "$package"; done
fetch_crates
say "ready (cache: $cache)"
