#: about = "twenty small guests at once, then all gone and the memory back"
#: limit = 900
#: memory = 4096
# Dom0 keeps what it needs for so many (event channels, the list of grants it has mapped), so they all come and go once before.
for n in $(seq 20); do
    config "g$n" 'memory = 64' 'cap = 2'
    xl create -p "g$n.cfg" > /dev/null 2>&1
done
for n in $(seq 20); do xl destroy "g$n"; done
before=$(xl info free_memory)
for n in $(seq 20); do
    xl create "g$n.cfg" > out 2>&1 || value "create-$n" "$(tail -n 1 out)"
done
domains | tail -n +2 | awk '{ print $1, $2, $3 }' | lines list
running=0
for n in $(seq 20); do hears "g$n" 60 GRUB && running=$((running + 1)); done
[ $running = 20 ]
verdict all-run "$running"
for n in $(seq 20); do xl destroy "g$n" || value "destroy-$n" failed; done
domains | lines list-after
wait_for 30 sh -c "[ \$(xl info free_memory) = $before ]"
verdict memory-back "$before MiB before, $(xl info free_memory) after"
