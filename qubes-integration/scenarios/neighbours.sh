#: about = "dom0's programs keep their registers and memory while a guest spins beside them"
#: limit = 400
config small 'cap = 25'
told create xl create small.cfg
rounds=40 bad=0 round=0
while [ $round -lt $rounds ]; do
    round=$((round + 1))
    last=$(for i in 1 2 3; do echo "$i some words"; done | sed 's/some/any/' | awk '{ print $1, $2 }' | sort | tail -n 1)
    [ "$last" = "3 any" ] || bad=$((bad + 1))
done
[ $bad = 0 ]
verdict programs "$bad of $rounds went wrong"
! dmesg | grep -q segfault
verdict no-crashes "$(dmesg | grep -c segfault) in the kernel's log"
told destroy xl destroy small
