#: about = "libvirt with its Xen driver: capabilities, define, start, suspend, resume, setmem, save, destroy, undefine"
#: limit = 900
#: cpu = "Nehalem"
# The CPU: libvirt knows none that is a subset of QEMU's EPYC as Xen shows it, without SYSENTER and without VME.
mkdir -p /run/libvirt /var/lib/libvirt /var/log/libvirt
libvirtd -d > daemon.log 2>&1
value daemon.status $?
# Without a polkit service it says so at each call.
printf '%s\n' '#!/bin/sh' 'virsh -c xen:///system "$@" > said 2>&1' 'status=$?' \
    'grep -v "^Authorization not available" said' 'exit $status' > virsh
chmod +x virsh
virsh=/mnt/scratch/virsh
wait_for 90 $virsh version
verdict connects "$($virsh uri)"
$virsh version | lines version
$virsh nodeinfo | grep -v -e frequency -e '^Memory' | fields nodeinfo
[ "$($virsh nodeinfo | awk '/^Memory/ { print int($3 / 100000) }')" = 20 ]
verdict nodeinfo-memory "$($virsh nodeinfo | grep '^Memory')"
$virsh capabilities | grep -v -e '<uuid>' -e '<counter' -e '<memory' -e '<pages' | lines capabilities
cat > guest.xml <<'XML'
<domain type='xen'>
  <name>guest</name>
  <uuid>11111111-2222-3333-4444-666666666666</uuid>
  <memory unit='MiB'>128</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch='x86_64' machine='xenpv'>linux</type>
    <kernel>/mnt/guests/linux-6.1</kernel>
    <initrd>/mnt/guests/initrd-6.1</initrd>
    <cmdline>console=hvc0 quiet checks=memory,kernel beat=1</cmdline>
  </os>
  <devices><console type='pty'><target type='xen'/></console></devices>
</domain>
XML
told define $virsh define guest.xml
told start $virsh start --paused guest
told list $virsh list --all
told resume $virsh resume guest
self_checks guest 250
told suspend $virsh suspend guest
told domstate $virsh domstate guest --reason
told resume-again $virsh resume guest
$virsh dominfo guest | grep -v -e 'CPU time' -e '^Id' | fields dominfo
# libvirt 9.0 says that its Xen driver cannot.
$virsh domstats guest | sed -E 's/(time|cpu\.[a-z]+)=[0-9]+/\1=N/' | lines domstats
told setmem $virsh setmem guest 100M
wait_for 60 sh -c "xl list guest | grep -q '  100  '"
verdict setmem-reached "$(xl list guest | tail -n 1)"
told setvcpus $virsh setvcpus guest 1
wait_for 60 sh -c "xl vcpu-list guest | grep -q -- '--p'"
verdict setvcpus-reached "$(xl vcpu-list guest | grep -c -- '--p') away"
told save $virsh save guest image
# The log of its console goes on where it was.
goes_on() {
    local now
    now=$(console guest | grep -c '^GUEST beat')
    hears guest 60 '^GUEST beat' $((now + 3))
    verdict "$1" "$now beats before"
}
told restore $virsh restore image
goes_on after-restore
told managedsave $virsh managedsave guest
told list-saved $virsh list --all --managed-save
told start-managed $virsh start guest
goes_on after-managed
told reboot $virsh reboot guest
hears guest 200 '^GUEST done' 2
verdict rebooted
told shutdown $virsh shutdown guest
wait_for 60 sh -c "$virsh domstate guest | grep -q 'shut off'"
verdict shut-off "$($virsh domstate guest)"
told start-again $virsh start --paused guest
told destroy $virsh destroy guest
told undefine $virsh undefine guest
told list-after $virsh list --all
pkill -x libvirtd
