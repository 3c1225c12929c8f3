#: about = "a guest that crashes: on_crash destroy, restart, preserve, coredump"
#: limit = 1000
mkdir -p /var/lib/xen/dump
for action in destroy preserve coredump-destroy; do
    linux "$action" end=crash "on_crash = \"$action\""
    told "create-$action" xl create "$action.cfg"
done
wait_for 200 gone destroy
verdict destroy-gone
wait_for 200 sh -c "xl list preserve | grep -q -- '---.c'"
verdict preserve-stays "$(state preserve)"
wait_for 400 gone coredump-destroy
verdict coredump-gone
[ "$(cat /var/lib/xen/dump/* | wc -c)" -gt 100000000 ]
verdict dump-size "$(cat /var/lib/xen/dump/* | wc -c)"
ls /var/lib/xen/dump | sed -E 's/[0-9].*//' | lines dumps
rm -rf /var/lib/xen/dump/*
told destroy xl destroy preserve
domains | lines list
