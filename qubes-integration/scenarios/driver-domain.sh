#: about = "a guest serves network and disk to another guest, by xl devd; it dies, and nobody else is disturbed"
#: limit = 900
#: memory = 3072
config backend 'kernel = "/mnt/guests/linux-6.1"' 'ramdisk = "/mnt/guests/backend-6.1"' 'memory = 256' \
    'extra = "console=hvc0 quiet"' 'driver_domain = 1' 'disk = ["phy:/dev/vdc,xvda,w"]'
told create-backend xl create backend.cfg
hears backend 300 '^GUEST serves'
verdict serves "$(console backend | tail -n 1)"
linux guest "checks=network,disk,kernel address=10.9.1.2 peer=10.9.1.1 disk_hash=$(cat /mnt/guests/pattern.md5)" \
    'vif = ["bridge=xenbr0,backend=backend"]' \
    'disk = ["format=raw,vdev=xvda,access=ro,backend=backend,target=/run/pattern.raw"]'
told create xl create guest.cfg
self_checks guest 300
xl network-list guest | awk '{ print $2 == "'"$(xl domid backend)"'" }' | lines network-backend
xl block-list guest | awk '{ print $2 == "'"$(xl domid backend)"'" }' | lines disk-backend
told destroy-backend xl destroy backend
types guest 'echo still $((20 + 3))'
hears guest 40 'still 23'
verdict survives
told destroy timeout 120 xl destroy guest
gone guest
verdict gone
domains | lines list
