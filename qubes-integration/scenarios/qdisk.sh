#: about = "a qcow2 disk by QEMU's qdisk, and its framebuffer and keyboard"
#: limit = 600
qemu-img convert -O qcow2 /mnt/guests/pattern.raw disk.qcow2
told info qemu-img check disk.qcow2
linux guest "checks=disk,kernel disk_hash=$(cat /mnt/guests/pattern.md5)" \
    'disk = ["/mnt/scratch/disk.qcow2,qcow2,xvda,w"]' 'vfb = ["type=vnc,vncunused=0,vncdisplay=5"]'
told create timeout 120 xl create guest.cfg
self_checks guest 250
xl block-list guest | wc -l | lines list
wait_for 20 sh -c "ss -ltn | grep -q ':5905'"
verdict vnc-listens
timeout 10 socat -u TCP:127.0.0.1:5905 - < /dev/null | head -c 12 | lines vnc-greeting
told destroy xl destroy guest
wait_for 30 sh -c '! pgrep -f "xen-domid [1-9]"'
verdict qemu-gone
