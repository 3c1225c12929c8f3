#!/bin/bash
# All stages of `make test` (quick) or `make test-full` (full). A failed stage does not hide the ones after it; the last line
# sums up host tests, lint and build (one check each) and the boots of the runner.
set -uo pipefail
cd "$(dirname "$0")/.."
pace=${1:-quick}
debian=(env "PATH=/usr/bin:$PATH" RUSTC=/usr/bin/rustc /usr/bin/cargo)
output=$(mktemp)
said=$(mktemp)
trap 'rm -f "$output" "$said"' EXIT
passed=0 failed=0

# check NAME COMMAND...: a stage that counts as one check.
check() {
    local name=$1 started=$SECONDS
    shift
    if "$@"; then passed=$((passed + 1)) && echo "PASS $name ($((SECONDS - started)) s)"
    else failed=$((failed + 1)) && echo "FAIL $name"; fi
}

# counted NAME PATTERN COMMAND...: a stage that counts its checks itself, in lines that the pattern takes apart.
counted() {
    local name=$1 pattern=$2 started=$SECONDS counts status
    shift 2
    "$@" 2>&1 | tee "$output"
    status=${PIPESTATUS[0]}
    counts=$(sed -nE "s/$pattern/\1 \2/p" "$output" | awk '{p += $1; f += $2} END {print p + 0, f + 0}')
    passed=$((passed + ${counts% *})) failed=$((failed + ${counts#* }))
    # It may have ended before it could count.
    if [ "$status" -ne 0 ] && [ "${counts#* }" -eq 0 ]; then failed=$((failed + 1)); fi
    echo "$name: ${counts% *} passed, ${counts#* } failed, status $status ($((SECONDS - started)) s)"
}

host_tests() { "${debian[@]}" test --quiet --no-fail-fast; }
suite() { "${debian[@]}" build --quiet -p compat-runner && "${CARGO_TARGET_DIR:-target}/debug/compat-runner" suite "$pace"; }

# On the image that checks the order of locks and every sum: all test guests but those that count instructions, both kernels.
checked_image() {
    local runner=${CARGO_TARGET_DIR:-target}/debug/compat-runner kernel status=0
    scripts/build-image.sh checked || return
    export XENOLITH_IMAGE=${CARGO_TARGET_DIR:-target}/xenolith-checked.elf
    # shellcheck disable=SC2046
    "$runner" run-guest --on xenolith $("$runner" list | awk '$1 !~ /^(cost|shares|footprint)/ {print $1}') || status=1
    for kernel in 6.1 6.12; do
        "$runner" linux check --kernel "$kernel" --cpus 4 --memory 1024 || status=1
    done
    return $status
}

# Every interleaving of a few threads: the pure crates with loom's atomics, in a build of their own.
interleavings() {
    local crate
    for crate in event-channels grant-tables pv-mmu; do
        RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom" \
            "${debian[@]}" test --quiet --release -p "$crate" --test loom || return 1
    done
}

# One thread links an image for a minute, so both are made while the host tests are. Lint comes after: it would wait for them.
(scripts/build-image.sh && scripts/build-image.sh fail-points) > "$said" 2>&1 &
images=$!
built() { wait "$images"; local status=$?; cat "$said"; return $status; }

counted host-tests '^test result: .* ([0-9]+) passed; ([0-9]+) failed;.*' host_tests
[ "$pace" != full ] || counted interleavings '^test result: .* ([0-9]+) passed; ([0-9]+) failed;.*' interleavings
check build built
check lint scripts/lint.sh
counted suite '^([0-9]+) passed, ([0-9]+) failed$' suite
# After the suite, which builds the runner.
[ "$pace" != full ] || counted checked-image '^([0-9]+) passed, ([0-9]+) failed$' checked_image
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
