#: about = "a guest unlike dom0, with the kernel of the Debian before: CPUs, memory, disk, network, balloon, vcpu-set, save, restore"
#: cpus = 2
#: limit = 600
#: kernels = ["5.10"]
linux guest "checks=cpus,memory,clock,disk,network,kernel cpus=2 disk_hash=$(cat /mnt/guests/pattern.md5) address=10.9.0.2 peer=10.9.0.1 beat=1" \
    'vcpus = 2' 'memory = 256' 'vif = ["mac=00:16:3e:00:00:01,bridge=xenbr0"]' 'disk = ["/mnt/guests/pattern.raw,raw,xvda,r"]'
sed -i 's/linux-6.1"/linux-5.10"/; s/initrd-6.1"/initrd-5.10"/' guest.cfg
told create xl create guest.cfg
self_checks guest 300
told mem-set xl mem-set guest 200
wait_for 30 sh -c "xl list guest | awk 'NR == 2 { exit !(\$3 <= 201) }'"
verdict balloon "$(xl list guest | awk 'NR == 2 { print $3 }') MiB"
told vcpu-set xl vcpu-set guest 1
wait_for 30 sh -c "xl vcpu-list guest | grep -c -- '--p' | grep -qx 1"
verdict took-away
told save xl save guest image
told restore xl restore image
beats=$(console guest | grep -c '^GUEST beat')
hears guest 60 '^GUEST beat' $((beats + 3))
verdict goes-on "$beats beats before"
types guest 'check_kernel | sed s/^GUEST/LATER/'
hears guest 60 '^LATER kernel: PASS'
verdict still-clean "$(console guest | grep '^LATER' | tail -n 1)"
told shutdown xl shutdown -w guest
wait_for 20 gone guest
verdict is-gone
