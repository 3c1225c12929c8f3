#!/bin/bash
# Builds the PV test guests: bare-metal ELF images under the build directory's `guests`. Called by the runner.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
# A static image at a fixed address, ended by a panic; link-time optimisation would cost minutes and gain nothing.
export RUSTFLAGS="-Crelocation-model=static -Clink-arg=--no-pie"
export CARGO_PROFILE_RELEASE_PANIC=abort CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=2
export CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=line-tables-only
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/guests"
strict=()
[ "${1:-build}" != clippy ] || strict=(-- -D warnings)
exec /usr/bin/cargo "${1:-build}" --quiet --release -p compat-guests --target x86_64-unknown-none \
    -Zbuild-std=core,alloc -Zbuild-std-features=compiler-builtins-mem "${strict[@]}"
