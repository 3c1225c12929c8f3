# What the scripts of qubes-integration/journeys have at hand beside lib.sh: the disk or the network that joins their
# machines. Sourced; the kernel's command line has `leg`, which machine of the journey this is, and `legs`, of how many.

leg=$(parameter leg)
legs=$(parameter legs)
# The disk that goes from machine to machine, or that joined machines share.
carried=/dev/vdd
here=10.9.0.$leg
there=10.9.0.$((3 - leg))

# goes_on NAME [SECONDS]: the guest's heart beats three times more.
goes_on() {
    local now
    now=$(console guest | grep -c '^GUEST beat')
    hears guest "${2:-60}" '^GUEST beat' $((now + 3))
    verdict "$1" "$now beats before"
}

# give_stream FILE: puts it on the carried disk, behind a sector that says how long it is and what it hashes to.
give_stream() {
    local size
    size=$(stat -c %s "$1")
    { printf '%-512s' "$size $(md5sum < "$1")"; cat "$1"; } | dd of=$carried bs=1M iflag=fullblock conv=fsync 2>/dev/null
    verdict stream-given "$size bytes"
}

# take_stream FILE: gets it from there.
take_stream() {
    local size hash rest
    read -r size hash rest <<HEAD
$(dd if=$carried bs=512 count=1 2>/dev/null)
HEAD
    tail -c +513 $carried | head -c "$size" > "$1"
    [ "$(md5sum < "$1" | cut -d ' ' -f 1)" = "$hash" ]
    verdict stream-taken "$size bytes"
}

# join_network: puts this machine's card on the bridge that guests are on, with an address of this machine's own.
join_network() {
    modprobe virtio_net
    ip addr flush dev xenbr0
    ip addr add "$here/24" dev xenbr0
    ip link set xenbr0 up
    wait_for 10 ip link set eth0 up master xenbr0
}

# serve_commands: lets the other machine run shell lines here (`there`) and send its guests.
serve_commands() {
    # socat ends its program when the stream has ended; these have to go on.
    printf '#!/bin/sh\ntrap "" TERM HUP\nexec xl migrate-receive\n' > receive
    printf '#!/bin/sh\ntrap "" TERM HUP\nexec xl restore /dev/stdin > /var/log/restore 2>&1\n' > restore
    printf '#!/bin/sh\nexec socat -t 600 - TCP:%s:7000\n' "$there" > send
    printf '#!/bin/sh\ncat > command.$$; . /run/toolstack/lib.sh; . /run/toolstack/journey.sh; . ./command.$$\n' > command
    chmod +x receive restore send command
    socat TCP-LISTEN:7000,fork,reuseaddr EXEC:/mnt/scratch/receive 2> /var/log/receive &
    socat -u TCP-LISTEN:7001,fork,reuseaddr EXEC:/mnt/scratch/restore,pipes &
    socat -t 600 TCP-LISTEN:7005,fork,reuseaddr EXEC:/mnt/scratch/command &
}

# there LINE: a shell line on the other machine.
there() { printf '%s\n' "$*" | timeout 600 socat -t 600 - "TCP:$there:7005"; }

# notes_changes: whether this hypervisor tells which pages a PV guest changes. Debian's Xen is built without.
notes_changes() { xl info | grep -q '^xen_extra.*xenolith'; }

# send_guest: to the other machine: live if the hypervisor can, else stopped for as long as its stream takes.
send_guest() {
    local status
    if notes_changes; then
        xl migrate -s '' guest /mnt/scratch/send > /var/log/send 2>&1
        status=$?
        echo "live, status $status"
    else
        rm -f pipe && mkfifo pipe
        socat -u OPEN:pipe "TCP:$there:7001" &
        xl save guest pipe > /var/log/send 2>&1
        status=$?
        wait $!
        echo "stopped, status $status"
    fi
    [ $status -eq 0 ] || tail -n 8 /var/log/send
    return $status
}

# printed: what the guest has printed on this machine, under any of the names that a migration gives it.
printed() { cat /var/log/xen/console/guest-guest*.log 2>/dev/null | tr -d '\r'; }

count() { printed | grep -cE "$1"; }
reached() { [ "$(count "$1")" -ge "$2" ]; }

# prints_more PATTERN SECONDS: such a line of the guest comes twice more on this machine.
prints_more() {
    wait_for "$2" reached "$1" $(($(count "$1") + 2)) && echo yes
}

# keep_busy: disk and network of the guest are in use from now on, and it says so. One block of the disk after the other gets
# new contents and is read back from the disk; on one connection for its whole life it hears numbers, none may be missing.
keep_busy() {
    types guest 'write() { head -c 65536 /dev/urandom > /tmp/block; dd if=/tmp/block of=/dev/xvda bs=64k seek=$1 conv=fsync,notrunc; } 2>/dev/null'
    types guest 'check() { echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/xvda bs=64k skip=$1 count=1 | cmp -s - /tmp/block; } 2>/dev/null'
    types guest '(i=0 bad=0; while :; do i=$((i + 1)); write $((i % 64)) && check $((i % 64)) || bad=$((bad + 1)); echo GUEST disk $i bad $bad; sleep 0.5; done) &'
    types guest '(last=0; nc 10.9.0.1 7003 | while read n; do [ $n = $((last + 1)) ] || echo GUEST lost $last to $n; last=$n; [ $((n % 10)) != 0 ] || echo GUEST heard $n; done; echo GUEST lost the connection) &'
}

# tell_of_there: what explains a guest that is not where it should be.
tell_of_there() {
    there 'cat /var/log/restore /var/log/receive /var/log/send; xl list; ls /var/log/xen/console; printed | tail -n 5; ps ax | grep -v "\[" | tail -n 20' 2>&1 |
        sed 's/^/NOTE there | /'
}

# pause FILE: the longest time without an answer in what ping -D wrote, in milliseconds.
pause() {
    awk -F '[][]' '/bytes from/ { if (last && $2 - last > most) most = $2 - last; last = $2 } END { printf "%d", most * 1000 }' "$1"
}
