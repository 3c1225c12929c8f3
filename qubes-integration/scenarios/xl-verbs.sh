#: about = "xl's rarer commands: dump-core and sysrq of a guest that runs, a guest made of nothing, domains that are not there, shutdown of all"
#: limit = 600
linux guest 'checks=clock' 'uuid = "11111111-2222-3333-4444-777777777777"'
told create xl create guest.cfg
self_checks guest 150
told sysrq xl sysrq guest h
told dump-core xl dump-core guest core
[ "$(stat -c %s core)" -gt 120000000 ]
verdict core-size "$(stat -c %s core)"
head -c 4 core | tail -c 3 | lines core-kind
# What Xen's format for dumps says about itself, of the sections' names.
for section in .note.Xen .xen_prstatus .xen_shared_info .xen_p2m .xen_pages; do
    grep -qaF "$section" core
    verdict "core-section$section"
done
rm -f core
types guest 'echo lives $((20 + 4))'
hears guest 40 'lives 24'
verdict goes-on-after-dump
told dump-nobody xl dump-core nobody core
told dump-nowhere xl dump-core guest nowhere/core
sed 's/memory = 128/memory = 96/' guest.cfg > other.cfg
told config-update xl config-update guest other.cfg
told config-missing xl config-update guest nowhere.cfg
sed 's/"guest"/"dry"/' guest.cfg > dry.cfg
told dry-run xl create -n dry.cfg
told dry-run-left xl domid dry
told create-again xl create guest.cfg
xl vm-list | awk '{ if (NR > 1) $2 = "N"; if ($NF != "Domain-0" && NR > 1) $1 = "UUID"; $1 = $1; print }' | lines vm-list
for verb in pause unpause shutdown reboot destroy 'sysrq' 'vcpu-list' 'vcpu-set' 'mem-max' 'mem-set' 'uptime' 'network-list' \
    'block-list' 'console' 'rename' 'save' 'migrate' 'trigger' 'vcpu-pin' 'sched-credit2'; do
    case $verb in
    sysrq | rename) more=h ;;
    vcpu-set) more=1 ;;
    mem-max | mem-set) more=100 ;;
    save | migrate) more=nowhere ;;
    trigger) more=nmi ;;
    vcpu-pin) more='0 0' ;;
    *) more= ;;
    esac
    # shellcheck disable=SC2086
    case $verb in
    sched-credit2) told "nobody-$verb" timeout 20 xl $verb -d nobody ;;
    *) told "nobody-$verb" timeout 20 xl $verb nobody $more ;;
    esac
    told "nothing-$verb" timeout 20 xl "$verb" too many words that mean nothing
done
told destroy-dom0 xl destroy Domain-0
told pause-dom0 xl pause Domain-0
told trigger-dom0 xl trigger Domain-0 reset
told button xl button-press guest power
told cd-insert xl cd-insert guest hdc /mnt/guests/pattern.raw
told cd-eject xl cd-eject guest hdc
told channels xl channel-list guest
told vtpm xl vtpm-list guest
told vkb xl vkb-list guest
told usb xl usb-list guest
told usb-attach timeout 30 xl usbctrl-attach guest version=2
told pci xl pci-list guest
told pci-assignable xl pci-assignable-list
told pci-attach xl pci-attach guest 00:1f.0
told qemu xl qemu-monitor-command guest info
told sharing xl sharing
told getenforce xl getenforce
told setenforce xl setenforce 1
told loadpolicy xl loadpolicy nowhere
told psr xl psr-hwinfo
told psr-cmt xl psr-cmt-show cache-occupancy
told remus timeout 20 xl remus -n guest nowhere
told no-verb xl nonsense
told no-words xl create
xl help > out 2>&1
value help.status $?
wc -l < out | lines help
# The only one there is.
told shutdown-all timeout 150 xl shutdown -a -w
wait_for 20 gone guest
verdict all-gone
domains | lines list
