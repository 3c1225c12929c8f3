#: about = "rounds of save and restore; after each the guest finds its memory and its clock right, at the end no memory is missing"
#: limit = 5400
rounds=$(parameter rounds)
rounds=${rounds:-3}
# The runner's rounds are those of something quicker.
[ "$rounds" -le 100 ] || rounds=100
free() { xl info free_memory; }
linux guest 'checks=memory,clock beat=60' 'memory = 96'
told create xl create guest.cfg
self_checks guest 150
types guest 'head -c 12000000 /dev/urandom > /tmp/noise; md5sum /tmp/noise > /tmp/sum; echo GUEST ready'
hears guest 60 '^GUEST ready'
verdict ready
types guest 'last=0; look() { sum=$(md5sum -c /tmp/sum); up=$(cut -d . -f 1 /proc/uptime); [ $up -ge $last ] && last=$up || sum=uptime; echo "GUEST round $1 ${sum#*: } $(date +%s)"; }'
# right ROUND: what the guest says of itself. Its wall clock is this one's, give or take what the question takes.
right() {
    local asked answered line
    asked=$(date +%s)
    types guest "look $1"
    hears guest 60 "^GUEST round $1 " || { value "round-$1" silent; return 1; }
    answered=$(date +%s)
    line=$(console guest | grep -a "^GUEST round $1 ")
    set -- $line
    [ "$4" = OK ] && [ "$5" -ge $((asked - 2)) ] && [ "$5" -le $((answered + 2)) ] || { value "round-$3" "$4 $5 $asked $answered"; return 1; }
}
kept=0 round=0 before=
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    xl save guest image > out 2>&1 && xl restore image > out 2>&1 || { value "moved-$round" "$(tail -n 1 out)"; break; }
    rm image
    right $round && kept=$((kept + 1))
    # What the hypervisor needs for its first guest of this size it may keep.
    before=${before:-$(free)}
done
[ $kept = "$rounds" ]
verdict rounds "$kept of $rounds"
[ "$(free)" = "$before" ]
verdict memory-same "$(free) MiB free, $before after the first round"
types guest 'dmesg | grep -c "cut here\|Call Trace" | sed "s/^/GUEST complaints /"'
hears guest 60 '^GUEST complaints 0'
verdict kernel
told destroy xl destroy guest
