#: about = "xl info: the host, its CPUs and memory, the hypervisor's version and capabilities"
#: pace = "quick"
# Speed and free memory are the run's own.
xl info | grep -vE '^(cpu_mhz|free_memory)' | fields info
[ "$(xl info free_memory)" -gt 500 ]
verdict free-memory "$(xl info free_memory) MiB"
speed=$(xl info | sed -n 's/^cpu_mhz *: *//p')
[ "${speed%.*}" -gt 100 ]
verdict cpu-mhz "$speed"
xl info -n | sed -n '/^cpu_topology/,$p' | grep -vE '^(xen_|cc_|build_id|xend_|free_memory)' | awk '{ if ($1 == "0:" && NF == 4) $3 = "N"; print }' | lines topology
told uptime-of-nobody xl uptime 77
xl claims | awk '{ $5 = "S"; $6 = "T"; $1 = $1; print }' | lines claims
xl uptime | awk '{ print $1, $2, NF }' | lines uptime
