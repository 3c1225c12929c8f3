#: about = "vchan: dom0 with itself and with a guest, each as server and as client; Debian's vchan-socket-proxy"
#: limit = 400
check=/run/toolstack/vchan-check
chmod +x $check
modprobe xen-gntdev
modprobe xen-gntalloc
own=/local/domain/0/data

# Dom0 with itself.
$check serve 0 $own/loop > served &
told loop-ask timeout 60 $check ask 0 $own/loop 256
wait_for 20 grep -q served served
verdict loop-served "$(cat served)"

# A pipe of Debian's between two programs.
head -c 300000 /dev/urandom > noise
proxy=$(xen_directory)/bin/vchan-socket-proxy
socat UNIX-LISTEN:answers,fork EXEC:cat &
$proxy -m server 0 $own/proxy answers > proxy-server 2>&1 &
wait_for 20 xenstore-exists $own/proxy/ring-ref
timeout 60 $proxy -m client 0 $own/proxy asks > proxy-client 2>&1 &
wait_for 20 test -e asks
# What is under way when a proxy sees one side hang up is lost, on Xen too: the asker stays until it has all.
{ cat noise; sleep 20; } | timeout 60 socat -t 20 - UNIX-CONNECT:asks | head -c 300000 | cmp - noise
verdict proxy "$(cat proxy-server proxy-client | paste -sd ' ')"
pkill -x socat

# With a guest: what it needs comes on a disk, packed.
mkdir pack && cp $check pack/
for name in xen-evtchn xen-gntdev xen-gntalloc; do
    find /usr/lib/modules -name "$name.ko" -exec cp {} pack/ ';'
done
tar -C pack -cf pack.tar . && truncate -s %4096 pack.tar
linux guest 'checks=kernel' 'disk = ["/mnt/scratch/pack.tar,raw,xvda,r"]'
told create xl create guest.cfg
self_checks guest 150
id=$(xl domid guest)
theirs=/local/domain/$id/data/channel
types guest 'tar -C /tmp -xf /dev/xvda; for name in evtchn gntdev gntalloc; do insmod /tmp/xen-$name.ko; done; echo GUEST unpacked'
hears guest 30 '^GUEST unpacked'
verdict unpacked
types guest "/tmp/vchan-check serve 0 $theirs"
told guest-serves timeout 120 $check ask "$id" "$theirs" 256
hears guest 30 '^vchan: served'
verdict guest-served
$check serve "$id" $own/channel > served &
sleep 1
types guest "/tmp/vchan-check ask 0 $own/channel 256"
hears guest 120 '^vchan: all came back'
verdict guest-asks "$(console guest | tail -n 1)"
wait_for 20 grep -q served served
verdict dom0-served "$(cat served)"
# A guest that dies with its channel open: it is not all gone before the other end lets go of its page.
types guest "/tmp/vchan-check serve 0 $theirs"
$check ask "$id" "$theirs" 100000000 > broken 2>&1 &
asks=$!
sleep 4
told destroy xl destroy guest
xl list | awk '$2 != 0 { print $1, $5 }' | lines held
kill $asks
wait_for 20 sh -c "! xl list | grep -q null"
verdict let-go
domains | lines list
