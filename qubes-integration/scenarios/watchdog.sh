#: about = "xenwatchdogd feeds a watchdog of dom0's; told to end it takes it back; killed, the hypervisor resets the machine"
#: limit = 300
#: reset_with = "watchdog rebooting machine"
PATH=$PATH:$(xen_directory)/bin
# 40 s for an emulated CPU that others may share.
told start timeout 20 xenwatchdogd 40 10
sleep 60
pgrep -x xenwatchdogd | wc -l | lines running
pkill -USR1 -x xenwatchdogd
wait_for 10 sh -c '! pgrep -x xenwatchdogd'
verdict stopped
sleep 50
told still-here xl domid Domain-0
told start-again timeout 20 xenwatchdogd 20 5
sleep 10
pkill -KILL -x xenwatchdogd
# What was seen so far has to leave the machine before it is reset: the runner's channel is a file on the other side.
sleep 1
cat /run/results > "$(ls /dev/vport* | head -n 1)"
sleep 60
false
verdict reset "still here 60 s after its watchdog's 20 s"
