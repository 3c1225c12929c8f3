#!/bin/bash
# Builds the hypervisor: target/xenolith.elf (multiboot1 in a 32-bit ELF container) and target/xenolith.gz.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
target=${CARGO_TARGET_DIR:-target}
/usr/bin/cargo build --quiet --release -p hv --target x86_64-unknown-none \
    -Zbuild-std=core,alloc -Zbuild-std-features=compiler-builtins-mem
objcopy -O elf32-i386 "$target/x86_64-unknown-none/release/xenolith" "$target/xenolith.elf.part"
mv "$target/xenolith.elf.part" "$target/xenolith.elf"
gzip -9 -n -c "$target/xenolith.elf" > "$target/xenolith.gz"
echo "built $target/xenolith.elf ($(stat -c %s "$target/xenolith.elf") bytes) and xenolith.gz"
