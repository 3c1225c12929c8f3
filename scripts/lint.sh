#!/bin/bash
# The lints that hold the house: clippy without a warning, rustfmt where a current one is installed, xtask's own rules.
set -euo pipefail
cd "$(dirname "$0")/.."
debian=(env "PATH=/usr/bin:$PATH" RUSTC=/usr/bin/rustc /usr/bin/cargo)
"${debian[@]}" clippy --quiet --all-targets -- -D warnings
scripts/build-guests.sh clippy
scripts/build-image.sh clippy
scripts/build-image.sh clippy --features fail-points
# Debian 12's own rustfmt is too old for this edition.
if rustfmt --version 2>/dev/null | grep -qE '^rustfmt 1\.(9|[1-9][0-9])|^rustfmt [2-9]'; then
    cargo fmt --all --check
else
    echo "lint: no current rustfmt, formatting not checked"
fi
"${debian[@]}" run --quiet -p xtask -- lint
