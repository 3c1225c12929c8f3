#: about = "damaged and cut streams, full disks, a back end that is killed: an error for who asked, the guest goes on, nothing is left behind"
#: limit = 1200
qemu-img create -q -f qcow2 disk.qcow2 32M
mkdir full
before=$(xl info free_memory)

# Two programs write errors at once: their order is the run's.
sorted() {
    local key=$1 status
    shift
    "$@" > out 2>&1
    status=$?
    plain < out | grep -v '^Loading new save file' | sort | lines "$key"
    value "$key.status" $status
}
# goes_on KEY NAME: the guest's heart beats three times more.
goes_on() {
    local now
    now=$(console "$2" | grep -c '^GUEST beat')
    hears "$2" 60 '^GUEST beat' $((now + 3))
    verdict "$1" "$now beats before"
}

linux guest 'checks=clock beat=1'
told create xl create guest.cfg
self_checks guest 150
mount -t tmpfs -o size=16m none full
sorted save-full-disk timeout 200 xl save guest full/image
goes_on after-full-disk guest
umount full
sorted save-nowhere timeout 100 xl save guest nowhere/image
goes_on after-nowhere guest
told save timeout 200 xl save guest image
domains | lines list-saved

# patch OFFSET BYTES: overwrites bytes of the stream, given as printf has them.
# shellcheck disable=SC2059
patch() { printf "$2" | dd of=image bs=1 seek="$1" conv=notrunc 2> /dev/null; }
# refused NAME: restore has to fail; what it leaves, as where xl itself dies of it, is seen and taken away.
refused() {
    sorted "$1" timeout 100 xl restore image
    domains | tail -n +3 | lines "$1.left"
    gone guest || xl destroy guest
}
# damaged NAME OFFSET BYTES: four bytes of the stream are others; then they are as they were.
damaged() {
    dd if=image of=kept bs=1 skip="$2" count=4 2> /dev/null
    patch "$2" "$3"
    refused "$1"
    dd if=kept of=image bs=1 seek="$2" conv=notrunc 2> /dev/null
}
libxl=$(grep -abo -m 1 LibxlFmt image | head -n 1 | cut -d : -f 1)
libxc=$(grep -abo -m 1 FNEX image | head -n 1 | cut -d : -f 1)
[ -n "$libxc" ] || libxc=$(grep -abo -m 1 XENF image | head -n 1 | cut -d : -f 1)
[ "${libxl:-0}" -gt 48 ] && [ "${libxc:-0}" -gt "${libxl:-0}" ]
verdict layout "$libxl $libxc"
# Behind the mark: version, options; the domain's type; then the first record's type and length.
damaged bad-magic 0 'Yen '
damaged bad-flags 36 '\377\377\377\377'
damaged bad-toolstack-mark "$libxl" 'libX'
damaged bad-mark "$libxc" 'XXXX'
damaged bad-version $((libxc + 4)) '\143\143\143\143'
damaged bad-domain-type $((libxc + 16)) '\167\0\0\0'
damaged bad-record-type $((libxc + 32)) '\176\0\0\0'
damaged bad-record-length $((libxc + 36)) '\377\377\377\177'
size=$(stat -c %s image)
for cut in $((size - 64)) $((size / 2)) $((libxc + 40)) $((libxc + 4)) $((libxl + 8)) 100 20; do
    truncate -s "$cut" image
    case $cut in
    $((size - 64))) refused cut-end ;;
    $((size / 2))) refused cut-half ;;
    $((libxc + 40))) refused cut-record ;;
    $((libxc + 4))) refused cut-mark ;;
    $((libxl + 8))) refused cut-toolstack-mark ;;
    *) refused "cut-$cut" ;;
    esac
done
rm -f image

mount -t tmpfs -o size=4m none full
truncate -s 32M full/disk.raw
linux writer 'beat=1' 'disk = ["/mnt/scratch/full/disk.raw,raw,xvda,w", "/mnt/scratch/disk.qcow2,qcow2,xvdb,w"]'
told create-with-disks timeout 150 xl create writer.cfg
hears writer 150 '^GUEST done'
verdict up
types writer 'dd if=/dev/zero of=/dev/xvda bs=64k count=400 conv=fsync > /dev/null 2>&1; echo GUEST wrote: $?'
hears writer 90 '^GUEST wrote'
console writer | grep '^GUEST wrote' | lines full-backend
goes_on after-full-backend writer
pkill -KILL -f 'xen-domid [1-9]'
wait_for 10 sh -c '! pgrep -f "xen-domid [1-9]"'
verdict back-end-killed
types writer 'dd if=/dev/xvdb of=/dev/null bs=64k count=1 > /dev/null 2>&1 &'
goes_on after-kill writer
sorted destroy timeout 150 xl destroy writer
wait_for 60 gone writer
verdict gone
umount full
verdict released
losetup -a | wc -l | lines loops-left
domains | lines list
xenstore-ls /libxl 2>&1 | lines libxl
after=$(xl info free_memory)
[ "$before" = "$after" ]
verdict free-memory "$before MiB before, $after MiB after"
