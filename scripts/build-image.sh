#!/bin/bash
# Builds the hypervisor: target/xenolith.elf (multiboot in a 32-bit ELF container) and target/xenolith.gz.
# With `checked` as first argument: target/xenolith-checked.elf, with debug assertions and overflow checks, for tests only.
# With `fail-points`: target/fail-points/xenolith.elf, which breaks where it is told to, for tests only.
# With `clippy`: no image, lints.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc
target=${CARGO_TARGET_DIR:-target}
# Position-independent code linked at a fixed address above 2^47: neither the small nor the kernel model's absolute
# addresses reach there. Unwind tables are what lets a bug cost one domain only.
flags="-Cpanic=unwind -Crelocation-model=pic -Ccode-model=small -Clink-arg=-Thv/link.ld -Clink-arg=--no-pie"
flags="$flags -Clink-arg=--eh-frame-hdr -Clink-arg=--build-id=sha1 -Clink-arg=-zmax-page-size=4096"
own=$target verb=build profile=release image=$target/xenolith.elf strict=() features=()
case "${1:-build}" in
fail-points)
    # Other flags, other objects. Assertions check the order of locks on the ways that only a fault takes.
    own=$target/fail-points image=$target/fail-points/xenolith.elf features=(--features fail-points)
    export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true
    ;;
checked) profile=checked image=$target/xenolith-checked.elf ;;
clippy) verb=clippy strict=(-- -D warnings) ;;
esac
XENOLITH_CHANGESET=${XENOLITH_CHANGESET:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)} \
    CARGO_TARGET_DIR=$own RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" /usr/bin/cargo $verb --quiet --profile $profile -p hv --target x86_64-unknown-none \
    -Zbuild-std=core,alloc -Zbuild-std-features=compiler-builtins-mem "${features[@]}" "${@:2}" "${strict[@]}"
[ $verb = build ] || exit 0
/usr/bin/cargo run --quiet -p xtask -- image "$own/x86_64-unknown-none/$profile/xenolith" "$image"
if [ "$image" != "$target/xenolith.elf" ]; then
    echo "built $image ($(stat -c %s "$image") bytes)"
    exit 0
fi
gzip -9 -n -c "$target/xenolith.elf" > "$target/xenolith.gz"
echo "built $target/xenolith.elf ($(stat -c %s "$target/xenolith.elf") bytes) and xenolith.gz"
