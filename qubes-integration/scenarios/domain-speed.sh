#: about = "what a user waits for a domain to be made and to be gone, on a machine whose clock ticks once an instruction"
#: limit = 900
#: counted = true
rounds=8
now() { date +%s%N; }
# measure NAME: builds and destroys the guest a number of times; tells the mean of each in nanoseconds.
measure() {
    local built=0 gone=0 failed=0 round start middle
    for round in $(seq $rounds); do
        start=$(now)
        xl create -p "$1.cfg" > out 2>&1 || failed=$((failed + 1))
        middle=$(now)
        xl destroy "$1" || failed=$((failed + 1))
        built=$((built + middle - start))
        gone=$((gone + $(now) - middle))
    done
    [ $failed = 0 ]
    verdict "$1" "$failed of $((2 * rounds)) failed"
    echo "FIGURE $scenario/$1-created-ns=$((built / rounds))"
    echo "FIGURE $scenario/$1-destroyed-ns=$((gone / rounds))"
}
config small
linux debian '' 'memory = 256'
# The programs and the kernel are read from the disk once before.
for name in small debian; do xl create -p $name.cfg > out 2>&1; xl destroy $name; done
measure small
measure debian
