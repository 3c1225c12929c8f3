#: about = "rounds of create and destroy; free memory is the same to the page after each"
#: limit = 5400
rounds=$(parameter rounds)
rounds=${rounds:-20}
config one
# Pages: xl tells MiB only. What the hypervisor frees when its CPUs have let go of a domain may come a moment after xl ends.
free() {
    PYTHONPATH=$(xen_directory)/lib/python python3 -c \
        'from xen.lowlevel import xc; print(xc.xc().physinfo()["free_memory"] // 4)'
}
is_back() {
    now=$(free)
    [ "$now" = "$before" ]
}
xl create -p one.cfg > /dev/null && xl destroy one
sleep 2
before=$(free)
kept=0 round=0 left= taken=0
while [ $round -lt $rounds ]; do
    round=$((round + 1))
    start=$(date +%s%N)
    xl create -p one.cfg > out 2>&1 || value "create-$round" "$(tail -n 1 out)"
    xl destroy one || value "destroy-$round" failed
    taken=$((taken + $(date +%s%N) - start))
    if wait_for 5 is_back; then
        kept=$((kept + 1))
    else
        left="$left, $((before - now)) pages fewer after $round"
    fi
done
[ -n "$before" ] && [ $kept = $rounds ]
verdict memory-back "$kept of $rounds rounds$left"
# By the clock on the wall, so not judged: others use the machine, too. Scenario domain-speed counts instructions.
echo "FIGURE $scenario/round-ns=$((taken / rounds))"
domains | lines list
