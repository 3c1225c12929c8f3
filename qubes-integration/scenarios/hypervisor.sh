#: about = "the hypervisor itself: dmesg, debug keys, parameters, xentop, trigger"
#: pace = "quick"
xl dmesg | grep -c '(XEN)' > /tmp/count
[ "$(cat /tmp/count)" -gt 20 ]
verdict dmesg "$(cat /tmp/count) lines"
xl dmesg -c > /dev/null
xl dmesg | wc -l | lines dmesg-cleared
told debug-key xl debug-keys h
xl dmesg | grep -q "'h' pressed"
verdict debug-key-seen
xl dmesg | grep -qE "key '.' .*=>|'.' .*=>|key '" ; verdict debug-key-list "$(xl dmesg | wc -l) lines"
told debug-keys xl debug-keys qr
told parameters xl set-parameters loglvl=info
told parameters-wrong xl set-parameters nonsense=1
config one
xl create -p one.cfg > /dev/null
xentop -b -i 1 | awk '{ if (NR > 1) { $3 = "T"; $4 = "P" } ; print $1, $2, $5, $7, $8, $9, $10 }' | lines xentop
for what in nmi reset init power sleep s3resume nonsense; do told "trigger-$what" xl trigger one $what; done
told config-update xl config-update one one.cfg
# A guest that never ran has not said yet where its page table of machine frames is.
told dump-core xl dump-core one core
/usr/lib/xen-*/bin/xenctx -a "$(xl domid one)" 0 | sed -E 's/[0-9a-f]{16}/N/g' | head -n 12 | lines xenctx
told vcpu-set-paused xl vcpu-set one 1
told hypervisor-nonsense xl debug-keys ''
