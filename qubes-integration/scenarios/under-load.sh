#: about = "a busy guest loses vCPUs and memory and gets them back, guests die in the midst of I/O; a neighbour goes on, nothing is left"
#: cpus = 2
#: limit = 900
linux quiet 'checks=kernel beat=1'
told create-quiet xl create quiet.cfg
self_checks quiet 150
# goes_on NAME: the neighbour's heart beats three times more.
goes_on() {
    local now
    now=$(console quiet | grep -c '^GUEST beat')
    hears quiet 60 '^GUEST beat' $((now + 3))
    verdict "$1" "$now beats before"
}
megabytes() { xl list "$1" | awk 'NR == 2 { print $3 }'; }
reaches() { [ "$(megabytes "$1")" = "$2" ]; }
offline() { xl vcpu-list "$1" | grep -c -- '--p'; }
has_offline() { [ "$(offline "$1")" = "$2" ]; }

linux busy 'checks=kernel cpus=2' 'vcpus = 2' 'memory = 256'
told create-busy xl create busy.cfg
self_checks busy 200
types busy 'mkdir load; mount -t tmpfs -o size=40m none load; cd load; while :; do :; done & while :; do head -c 20000000 /dev/urandom > a; md5sum < a > sum; [ "$(md5sum < a)" = "$(cat sum)" ] || echo LOAD damaged; done & echo LOAD runs'
hears busy 60 '^LOAD runs'
verdict load-runs
for round in 1 2 3; do
    xl vcpu-set busy 1
    wait_for 60 has_offline busy 1
    verdict "took-vcpu-$round" "$(offline busy) offline"
    xl mem-set busy 200
    wait_for 60 reaches busy 200
    verdict "took-memory-$round" "$(megabytes busy) MiB"
    xl vcpu-set busy 2
    # Linux only registers a CPU that comes back.
    types busy "until echo 1 > /sys/devices/system/cpu/cpu1/online; do sleep 1; done 2>/dev/null; echo LOAD vcpu $round"
    hears busy 90 "^LOAD vcpu $round"
    verdict "gave-vcpu-$round" "$(offline busy) offline"
    xl mem-set busy 256
    wait_for 60 reaches busy 256
    verdict "gave-memory-$round" "$(megabytes busy) MiB"
done
types busy 'check_kernel | sed s/^GUEST/LATER/'
hears busy 90 '^LATER kernel: PASS'
verdict still-clean "$(console busy | grep '^LATER' | tail -n 1)"
! said busy '^LOAD damaged'
verdict memory-kept
goes_on neighbour-of-busy
told destroy-busy xl destroy busy

# dies ROUND: a guest that reads and writes its disk and sends over its network is destroyed.
dies() {
    xl create dying.cfg > out 2>&1 || value "create-dying-$1" "$(tail -n 1 out)"
    hears dying 150 '^GUEST done'
    types dying 'while :; do dd if=/dev/zero of=/dev/xvdb bs=64k count=256 conv=fsync; cat /dev/xvda > /dev/null; done 2>/dev/null & ping -i 0.01 -s 1400 10.9.0.1 > /dev/null & sleep 3; echo LOAD io'
    hears dying 60 '^LOAD io'
    verdict "io-$1"
    xl destroy dying || value "destroy-$1" failed
    rm -f /var/log/xen/console/guest-dying.log
}
is_left() { losetup -j /mnt/scratch/written.raw | grep -q . || bridge link | grep -q "vif"; }
truncate -s 32M written.raw
linux dying 'checks=network,kernel address=10.9.0.2 peer=10.9.0.1' 'vif = ["bridge=xenbr0"]' \
    'disk = ["/mnt/guests/pattern.raw,raw,xvda,r", "/mnt/scratch/written.raw,raw,xvdb,w"]'
# Once before, for what dom0 keeps.
dies 0
wait_for 30 sh -c '! bridge link | grep -q vif'
sleep 2
before=$(xl info free_memory)
for round in 1 2 3; do
    dies $round
    wait_for 30 eval '! is_left'
    verdict "released-$round" "$(losetup -j /mnt/scratch/written.raw | wc -l) loop devices"
done
goes_on neighbour-of-the-dead
wait_for 30 eval '[ "$(xl info free_memory)" = "$before" ]'
verdict memory-back "$before MiB before, $(xl info free_memory) after"
! dmesg | grep -E 'cut here|Oops|general protection'
verdict kernel
domains | awk '{ print $1, $2, $3 }' | lines list
