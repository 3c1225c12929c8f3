#: about = "a guest with disk and network in use moves to another machine and back; nothing is lost"
#: machines = "joined"
#: routes = [["xen", "xenolith"], ["xenolith", "xenolith"]]
#: limit = 2000
. /run/toolstack/journey.sh
join_network
serve_commands
if [ "$leg" = 2 ]; then
    wait_for 1800 test -e /mnt/scratch/over
    verdict over
    printed | tail -n 5 | sed 's/^/NOTE | /'
    return
fi
wait_for 300 there true
verdict other-machine-up
numbers='i=0; while sleep 0.2; do i=$((i + 1)); echo $i || exit; done'
socat -U TCP-LISTEN:7003,reuseaddr,fork SYSTEM:"$numbers" &
linux guest 'checks=network address=10.9.0.10 peer=10.9.0.1' \
    'memory = 96' 'disk = ["phy:/dev/vdd,xvda,w"]' 'vif = ["mac=00:16:3e:00:00:0a,bridge=xenbr0"]'
told create xl create guest.cfg
self_checks guest 250
keep_busy
hears guest 90 '^GUEST disk [0-9]+ bad 0' 3
verdict disk-busy
hears guest 60 '^GUEST heard' 2
verdict network-busy

ping -D -i 0.1 10.9.0.10 > pings-there 2>&1 &
pings=$!
send_guest > sent
verdict goes-there "$(paste -sd ' ' sent)"
gone guest
verdict gone-here
[ "$(there 'prints_more "^GUEST disk [0-9]+ bad 0" 400')" = yes ]
verdict disk-there "$(there 'printed | grep disk | tail -n 1')" || tell_of_there
[ "$(there 'prints_more "^GUEST heard" 400')" = yes ]
verdict network-there "$(there 'printed | grep heard | tail -n 1')"
kill $pings && sleep 1
echo "FIGURE $scenario/pause-there-ms=$(pause pings-there)"

ping -D -i 0.1 10.9.0.10 > pings-back 2>&1 &
pings=$!
there 'send_guest && echo sent' > sent
grep -qx sent sent
verdict comes-back "$(paste -sd ' ' sent)"
[ "$(prints_more '^GUEST disk [0-9]+ bad 0' 400)" = yes ]
verdict disk-back "$(printed | grep disk | tail -n 1)" || tell_of_there
[ "$(prints_more '^GUEST heard' 400)" = yes ]
verdict network-back "$(printed | grep heard | tail -n 1)"
kill $pings && sleep 1
echo "FIGURE $scenario/pause-back-ms=$(pause pings-back)"
{ printed; there printed; } > all
! grep -E '^GUEST (lost|disk [0-9]+ bad [1-9])' all
verdict nothing-lost "$(grep -E '^GUEST (lost|disk [0-9]+ bad [1-9])' all | head -n 2 | paste -sd ' ')"
types guest 'dmesg | grep -c "cut here\|Call Trace" | sed "s/^/GUEST complaints /"'
wait_for 60 reached '^GUEST complaints 0' 1
verdict kernel
there 'touch /mnt/scratch/over'
