#: about = "Debian's PV GRUB boots a guest from the guest's own disk"
#: limit = 400
config guest 'kernel = "/usr/lib/grub-xen/grub-x86_64-xen.bin"' 'memory = 192' \
    'disk = ["/mnt/guests/boot-6.1.raw,raw,xvda,r"]'
told create xl create guest.cfg
self_checks guest 250
told shutdown timeout 120 xl shutdown -w guest
