#: about = "throughput of networks and disks between guests and dom0, on a machine whose clock ticks once an instruction"
#: limit = 900
#: counted = true
modprobe xen-blkback
truncate -s 64M /run/fast.raw && dd if=/dev/zero of=/run/fast.raw bs=1M count=64 conv=notrunc 2>/dev/null
# Guests use dom0's own programs from a second copy of its root; the modules for that come packed on a disk.
mkdir pack
for name in $(modprobe --show-depends ext4 crc32c_generic | awk '{ print $2 }'); do cp "$name" pack/; echo "insmod /tmp/${name##*/}"; done > order
for name in $(modprobe --show-depends crc32c_generic | awk '{ print $2 }'); do cp "$name" pack/; echo "insmod /tmp/${name##*/}"; done >> order
mv order pack/order
tar -C pack -cf pack.tar . && truncate -s %4096 pack.tar
for number in 2 3; do
    linux "guest$number" "checks=network address=10.9.0.$number peer=10.9.0.1" 'memory = 320' \
        'vif = ["bridge=xenbr0"]' 'disk = ["/mnt/scratch/pack.tar,raw,xvda,r", "phy:/dev/vdc,xvdb,r", "/run/fast.raw,raw,xvdc,w"]'
    [ $number = 2 ] || sed -i 's#, "/run/fast.raw,raw,xvdc,w"##' "guest$number.cfg"
    told "create-$number" xl create "guest$number.cfg"
    self_checks "guest$number" 250
    types "guest$number" 'tar -C /tmp -xf /dev/xvda; . /tmp/order 2>/dev/null; mkdir r; mount -t ext4 -o ro,noload /dev/xvdb r && mount -t tmpfs none r/tmp && mount --bind /dev r/dev && mount --bind /proc r/proc && mount --bind /sys r/sys && echo GUEST mounted'
    hears "guest$number" 60 '^GUEST mounted'
    verdict "mounted-$number" "$(console "guest$number" | tail -n 1)"
done
# kilobits: what the receiver had, of iperf3's table.
kilobits() { awk '$NF == "receiver" { for (i = 1; i < NF; i++) if ($(i + 1) == "Kbits/sec") rate = $i } END { print rate + 0 }'; }
figure() {
    [ "$2" -gt 0 ]
    verdict "$1" "$2"
    echo "FIGURE $scenario/$1=$2"
}
types guest2 'chroot r iperf3 -s > /dev/null & sleep 2; echo GUEST listens'
hears guest2 60 '^GUEST listens'
figure network-to-guest-kbit "$(iperf3 -c 10.9.0.2 -t 4 -f k | kilobits)"
figure network-from-guest-kbit "$(iperf3 -c 10.9.0.2 -t 4 -f k -R | kilobits)"
types guest3 'chroot r iperf3 -c 10.9.0.2 -t 4 -f k | grep receiver; echo GUEST measured'
hears guest3 120 '^GUEST measured'
figure network-between-guests-kbit "$(console guest3 | kilobits)"
# round trips of one small packet: what an event and a switch cost.
figure network-round-trip-ns "$(ping -c 200 -i 0.01 -q 10.9.0.2 | awk -F '[ /]' '/^rtt/ { printf "%d", $8 * 1000000 }')"
for job in read-4k write-4k read-64k; do
    types guest2 "echo GUEST begin; chroot r fio --name=j --filename=/dev/xvdc --rw=rand${job%-*} --bs=${job#*-} --direct=1 --ioengine=sync --runtime=3 --time_based --output-format=terse --thread; echo GUEST did ${job}"
    hears guest2 200 "^GUEST did $job"
    # Terse output, version 3: kilobytes a second of reads are field 7, of writes field 48.
    field=7
    [ "${job%-*}" = read ] || field=48
    console guest2 | tail -n 4 | cut -c 1-120 | sed 's#^#NOTE | #'
    figure "disk-$job-kbyte" "$(console guest2 | grep '^3;fio' | tail -n 1 | cut -d ';' -f $field)"
done
