#: about = "a guest serves network and disk to another guest, by xl devd; it dies, and nobody else is disturbed"
#: limit = 900
#: memory = 3072
#: cpus = 2
config backend 'kernel = "/mnt/guests/linux-6.1"' 'ramdisk = "/mnt/guests/backend-6.1"' 'memory = 256' \
    'extra = "console=hvc0 quiet"' 'driver_domain = 1' 'disk = ["phy:/dev/vdc,xvda,w"]'
told create-backend xl create backend.cfg
hears backend 300 '^GUEST serves'
verdict serves "$(console backend | tail -n 1)"
linux guest "checks=network,disk,kernel address=10.9.1.2 peer=10.9.1.1 disk_hash=$(cat /mnt/guests/pattern.md5)" \
    'vif = ["bridge=xenbr0,backend=backend"]'
# One after the other and the guest paused: the back end's scripts have 40 s each, which is little for an emulated CPU.
told create xl create -p guest.cfg
id=$(xl domid backend) guest=$(xl domid guest)
connected() { xenstore-read "/local/domain/$id/backend/$1/$guest/$2/hotplug-status" | grep -qx connected; }
wait_for 60 connected vif 0
verdict network-connected
told attach xl block-attach guest format=raw,vdev=xvda,access=ro,backend=backend,target=/run/pattern.raw
wait_for 60 connected vbd 51712
verdict disk-connected
told unpause xl unpause guest
self_checks guest 300
xl network-list guest | awk '{ print $2 == "'"$id"'" }' | lines network-backend
xl block-list guest | awk '{ print $2 == "'"$id"'" }' | lines disk-backend
told destroy-backend xl destroy backend
types guest 'echo still $((20 + 3))'
hears guest 40 'still 23'
verdict survives
timeout 120 xl destroy guest > out 2>&1
value destroy.status $?
plain < out | sort | lines destroy
gone guest
verdict gone
domains | lines list
