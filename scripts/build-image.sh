#!/bin/bash
# Builds the hypervisor: target/xenolith.elf (multiboot in a 32-bit ELF container) and target/xenolith.gz.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc
target=${CARGO_TARGET_DIR:-target}
# Position-independent code linked at a fixed address above 2^47: neither the small nor the kernel model's absolute
# addresses reach there. Unwind tables are what lets a bug cost one domain only.
flags="-Cpanic=unwind -Crelocation-model=pic -Ccode-model=small -Clink-arg=-Thv/link.ld -Clink-arg=--no-pie"
flags="$flags -Clink-arg=--eh-frame-hdr -Clink-arg=--build-id=sha1 -Clink-arg=-zmax-page-size=4096"
strict=()
[ "${1:-build}" != clippy ] || strict=(-- -D warnings)
XENOLITH_CHANGESET=${XENOLITH_CHANGESET:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)} \
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" /usr/bin/cargo ${1:-build} --quiet --release -p hv --target x86_64-unknown-none \
    -Zbuild-std=core,alloc -Zbuild-std-features=compiler-builtins-mem "${@:2}" "${strict[@]}"
[ "${1:-build}" = build ] || exit 0
/usr/bin/cargo run --quiet -p xtask -- image "$target/x86_64-unknown-none/release/xenolith" "$target/xenolith.elf"
gzip -9 -n -c "$target/xenolith.elf" > "$target/xenolith.gz"
echo "built $target/xenolith.elf ($(stat -c %s "$target/xenolith.elf") bytes) and xenolith.gz"
