#: about = "names and numbers: list, list -l, vcpu-list, domid, domname, rename"
#: pace = "quick"
config one 'uuid = "11111111-2222-3333-4444-555555555555"' 'vcpus = 3' 'maxmem = 48'
told create xl create -p one.cfg
domains | lines list
xl list -v | awk '{ $1 = $1; if (NR > 1) { $6 = "T"; $2 = "N" } print }' | lines list-v
xl list -l one | grep -v '"domid"' | lines list-long
xl list -l Domain-0 | lines list-long-dom0
xl vcpu-list | awk '{ if (NR > 1) { $6 = "T"; $2 = "N" } $1 = $1; print }' | lines vcpu-list
[ "$(xl domname "$(xl domid one)")" = one ]
verdict domid-domname "$(xl domid one)"
told domid-nobody xl domid nobody
told domname-nobody xl domname 7777
told rename xl rename one two
told domid-old xl domid one
told rename-taken xl rename two Domain-0
told list-nobody xl list nobody
xl list -Z two | awk '{ $2 = "N"; $1 = $1; print }' | lines list-labels
xl uptime two | awk '{ print $1, NF }' | lines uptime
told destroy xl destroy two
told destroy-again xl destroy two
domains | lines list-after
