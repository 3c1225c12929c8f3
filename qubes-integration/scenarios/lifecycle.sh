#: about = "a Linux guest: console, pause, unpause, sysrq, reboot, shutdown, power-off, crash, each by xl"
#: limit = 600
linux guest 'checks=memory,clock,cpus,kernel cpus=1'
told create xl create guest.cfg
self_checks guest 150
domains | sed 's/[rb-]-----$/alive/; s/-b----$/alive/' | lines list
types guest 'echo typed $((40 + 2))'
hears guest 30 'typed 42'
verdict console-in "$(console guest | tail -n 1)"
timeout 10 xl console guest < /dev/null > seen 2>&1
value console.status $?
told pause xl pause guest
state guest | lines state-paused
told pause-again xl pause guest
told unpause xl unpause guest
state guest | lines state-paused-twice
told unpause-again xl unpause guest
state guest | grep -q '^[rb-][b-]----$'
verdict state-unpaused "$(state guest)"
told sysrq xl sysrq guest h
id=$(xl domid guest)
told reboot timeout 120 xl reboot -w guest
wait_for 120 xl domid guest
hears guest 120 '^GUEST done' 2
verdict rebooted "$(console guest | grep -c '^GUEST done') lives"
[ "$(xl domid guest)" -gt "$id" ]
verdict new-domid
told shutdown timeout 120 xl shutdown -w guest
wait_for 20 gone guest
verdict gone-after-shutdown
linux crasher 'end=crash' 'on_crash = "preserve"'
told create-crasher xl create crasher.cfg
wait_for 120 sh -c "xl list crasher | grep -q -- '---.c'"
verdict crashed "$(state crasher)"
told destroy-crashed xl destroy crasher
linux ender 'end=poweroff'
told create-ender xl create ender.cfg
wait_for 120 gone ender
verdict powered-off
domains | lines list-after
