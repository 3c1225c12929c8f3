#: about = "libvirt with its Xen driver: capabilities, define, start, suspend, resume, setmem, save, destroy, undefine"
#: limit = 900
mkdir -p /run/libvirt /var/lib/libvirt /var/log/libvirt
libvirtd -d > daemon.log 2>&1
value daemon.status $?
virsh='virsh -c xen:///system'
wait_for 90 $virsh version
verdict connects "$($virsh uri 2>&1)"
$virsh version 2>&1 | lines version
$virsh nodeinfo | grep -v frequency | fields nodeinfo
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
    <cmdline>console=hvc0 quiet checks=memory,kernel</cmdline>
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
$virsh domstats guest | sed -E 's/(time|cpu\.[a-z]+)=[0-9]+/\1=N/' | lines domstats
told setmem $virsh setmem guest 100M
told setvcpus $virsh setvcpus guest 1
told save $virsh save guest image
told restore $virsh restore image
told managedsave $virsh managedsave guest
told start-managed $virsh start guest
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
pkill libvirtd
