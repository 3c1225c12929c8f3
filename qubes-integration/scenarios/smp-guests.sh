#: about = "Debian's kernels as guests with 1, 4 and 8 vCPUs; vcpu-set takes vCPUs away and gives them back"
#: cpus = 2
#: limit = 900
for vcpus in 4 8; do
    linux "guest$vcpus" "checks=cpus,clock,kernel cpus=$vcpus" "vcpus = $vcpus"
    told "create-$vcpus" xl create "guest$vcpus.cfg"
    self_checks "guest$vcpus" 300
done
xl destroy guest8
sed 's/linux-6.1/linux-6.12/; s/initrd-6.1/initrd-6.12/; s/guest4/later/; s/vcpus = 4/vcpus = 2/; s/cpus=4/cpus=2/' guest4.cfg > later.cfg
told create-6.12 xl create later.cfg
self_checks later 300
xl destroy later
online() { xl vcpu-list guest4 | awk 'NR > 1 && index($5, "p") == 0' | wc -l; }
told vcpu-set-2 xl vcpu-set guest4 2
wait_for 30 sh -c "xl vcpu-list guest4 | grep -c -- '--p' | grep -qx 2"
verdict took-away "$(online) online"
told vcpu-set-overcommitted xl vcpu-set guest4 4
told vcpu-set-4 xl vcpu-set --ignore-host guest4 4
# Linux only registers a CPU that comes back; to start it is for user space, on a real system for a rule of udev.
types guest4 'for n in 2 3; do c=/sys/devices/system/cpu/cpu$n/online; until [ -e $c ]; do sleep 1; done; echo 1 > $c; done'
types guest4 'echo has $(grep -c ^processor /proc/cpuinfo) processors'
hears guest4 60 '^has 4 processors'
verdict guest-has-all "$(console guest4 | tail -n 1)"
wait_for 30 sh -c "! xl vcpu-list guest4 | grep -q -- '--p'"
verdict gave-back "$(online) online"
told vcpu-set-too-many xl vcpu-set --ignore-host guest4 5
told vcpu-set-0 xl vcpu-set guest4 0
