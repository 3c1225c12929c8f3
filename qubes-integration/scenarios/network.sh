#: about = "a network on a bridge: ping and a fetch from inside, network-attach, -list, -detach"
#: limit = 500
head -c 2000000 /dev/urandom > served
hash=$(md5sum < served | cut -d ' ' -f 1)
socat TCP-LISTEN:7000,fork,reuseaddr FILE:served &
linux guest "checks=network,kernel address=10.9.0.2 peer=10.9.0.1 fetch=7000 fetch_hash=$hash" \
    'vif = ["mac=00:16:3e:00:00:01,bridge=xenbr0"]'
told create xl create guest.cfg
self_checks guest 200
xl network-list guest | awk 'NR > 1 { print $1, $2, $3, $4, $5 }' | lines list
bridge link | grep -c vif | lines ports
told attach xl network-attach guest mac=00:16:3e:00:00:02 bridge=xenbr0
wait_for 20 sh -c "bridge link | grep -c vif | grep -qx 2"
verdict attached
xl network-list guest | wc -l | lines list-two
told detach xl network-detach guest 1
wait_for 20 sh -c "bridge link | grep -c vif | grep -qx 1"
verdict detached
told detach-again xl network-detach guest 1
told attach-wrong xl network-attach guest mac=nonsense
told destroy xl destroy guest
wait_for 20 sh -c "! bridge link | grep -q vif"
verdict nothing-left "$(ip -br link | grep -c vif)"
pkill socat
