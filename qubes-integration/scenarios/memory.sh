#: about = "mem-set and mem-max: a guest and dom0 give memory back and take it again"
#: limit = 500
linux guest 'checks=memory' 'memory = 192' 'maxmem = 256'
told create xl create guest.cfg
self_checks guest 150
kilobytes() { xl list "$1" | awk 'NR == 2 { print $3 }'; }
reaches() { [ "$(kilobytes "$1")" = "$2" ]; }
kilobytes guest | lines start
told mem-set-down xl mem-set guest 128
wait_for 60 reaches guest 128
verdict went-down "$(kilobytes guest)"
told mem-set-up xl mem-set guest 200
wait_for 60 reaches guest 200
verdict went-up "$(kilobytes guest)"
told mem-set-too-much xl mem-set guest 512
told mem-max xl mem-max guest 300
xl list -l guest | grep -A 1 memkb | lines list-long
told mem-max-too-little xl mem-max guest 1
told mem-set-dom0 xl mem-set 0 700
wait_for 60 reaches 0 700
verdict dom0-went-down "$(kilobytes 0)"
told mem-set-dom0-back xl mem-set 0 768
wait_for 60 reaches 0 768
verdict dom0-went-up "$(kilobytes 0)"
told mem-set-nobody xl mem-set 77 100
told mem-set-wrong xl mem-set guest lots
