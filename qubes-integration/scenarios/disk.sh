#: about = "disks by blkback: file through a loop device, a block device itself; block-attach, -list, -detach"
#: limit = 500
truncate -s 8M written.raw
linux guest "checks=disk,kernel disk_hash=$(cat /mnt/guests/pattern.md5)" \
    'disk = ["/mnt/guests/pattern.raw,raw,xvda,r", "/mnt/scratch/written.raw,raw,xvdb,w"]'
told create xl create guest.cfg
self_checks guest 200
cmp -n 2097152 written.raw /mnt/guests/pattern.raw
verdict written-through
xl block-list guest | sed -E 's/ +/ /g; s/^([0-9]+ [0-9]+ )[0-9]+ ([0-9]) [0-9]+ [0-9]+ .*/\1N \2 EVENT RING/' | lines list
cp /mnt/guests/pattern.raw more.raw
loop=$(losetup -f --show more.raw)
told attach xl block-attach guest "phy:$loop,xvdc,r"
types guest 'md5sum /dev/xvdc'
hears guest 40 "$(cat /mnt/guests/pattern.md5)"
verdict attached-and-read
xl block-list guest | wc -l | lines list-three
told detach xl block-detach guest xvdc
wait_for 30 losetup -d "$loop"
verdict released
told detach-nothing xl block-detach guest xvdz
told attach-nothing xl block-attach guest /mnt/scratch/nowhere,raw,xvdd,w
told attach-taken xl block-attach guest /mnt/guests/pattern.raw,raw,xvda,r
told destroy xl destroy guest
losetup -a | grep -c -e pattern -e written | lines loops-left
