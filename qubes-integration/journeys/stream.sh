#: about = "a guest saved on one hypervisor goes on on another, with the memory it had, and then back on the first"
#: machines = "in-turn"
#: routes = [["xen", "xenolith", "xen"], ["xenolith", "xen", "xenolith"]]
#: limit = 400
. /run/toolstack/journey.sh
if [ "$leg" = 1 ]; then
    linux guest 'checks=memory,clock beat=1'
    told create xl create guest.cfg
    self_checks guest 200
    types guest 'head -c 12000000 /dev/urandom > /tmp/noise; md5sum /tmp/noise > /tmp/sum'
else
    take_stream image
    told restore xl restore image
    rm image
fi
goes_on beats
# Its own words must be memory's, not the console's: the question is made of pieces.
types guest 'md5sum -c /tmp/sum | sed "s/^/GUEST noise /"'
hears guest 60 '^GUEST noise .*OK'
verdict noise
types guest 'sleep 2; echo GUEST year $(date +%Y)'
hears guest 60 "^GUEST year $(date +%Y)"
verdict clock
types guest 'dmesg | grep -c "cut here\|Call Trace" | sed "s/^/GUEST complaints /"'
hears guest 60 '^GUEST complaints 0'
verdict kernel
if [ "$leg" -lt "$legs" ]; then
    told save xl save guest image
    give_stream image
else
    told shutdown timeout 120 xl shutdown -w guest
fi
