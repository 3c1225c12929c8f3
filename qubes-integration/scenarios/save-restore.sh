#: about = "save and restore, migration to the same host, live and not; the guest goes on with memory and clock right"
#: limit = 900
linux guest 'checks=memory beat=1'
told create xl create guest.cfg
self_checks guest 150
# goes_on NAME [CONSOLE]: the guest's heart beats three times more.
goes_on() {
    local now
    now=$(console "${2:-guest}" | grep -c '^GUEST beat')
    hears "${2:-guest}" 60 '^GUEST beat' $((now + 3))
    verdict "$1" "$now beats before"
}
goes_on beats
told save xl save guest image
domains | lines list-saved
[ "$(stat -c %s image)" -gt 50000000 ]
verdict image-size "$(stat -c %s image)"
"$(xen_directory)/bin/verify-stream-v2" < image > verified 2>&1
value verify.status $?
told restore xl restore image
goes_on after-restore
told save-checkpoint xl save -c guest checkpoint
goes_on after-checkpoint
told save-paused xl save -p guest paused
state guest | lines state-paused
told unpause xl unpause guest
goes_on after-unpause
# `xl migrate` runs the empty command's host as a program: this one receives.
printf '#!/bin/sh\nexec xl migrate-receive "$@"\n' > receive
chmod +x receive
xl migrate -s '' guest /mnt/scratch/receive > out 2>&1
value migrate.status $?
# While it is received it has another name, which its console's log keeps.
goes_on after-migrate guest--incoming
domains | sed 's/ [rb-]-----$/ alive/' | lines list
console guest | grep -A 9999 '^GUEST done' | grep -c 'cut here\|Call Trace' | lines kernel-complaints
truncate -s 60000000 image
told restore-cut xl restore image
domains | lines list-end
