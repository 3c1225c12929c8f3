# What every scenario has at hand: observations in a form that two hypervisors can be compared by. Sourced, $scenario set.

# parameter NAME: the value of NAME=VALUE on the kernel's command line.
parameter() {
    local word
    for word in $(cat /proc/cmdline); do
        case $word in "$1="*) echo "${word#*=}" ;; esac
    done
}

uptime_seconds() { cut -d . -f 1 /proc/uptime; }

# Where Debian's wrapper finds the tools of the running version.
xen_directory() { /usr/lib/xen-common/bin/xen-dir; }

# value KEY TEXT...: one observation.
value() {
    local key=$1
    shift
    echo "VALUE $scenario/$key=$*"
}

# verdict NAME DETAIL...: judges the status of the command before it.
verdict() {
    local status=$? word=FAIL name=$1
    shift
    [ $status -ne 0 ] || word=PASS
    echo "TEST $scenario/$name: $word $*"
    return $status
}

# lines KEY: each line of the input is an observation, numbered.
lines() { awk -v key="VALUE $scenario/$1" '{ sub(/[ \t\r]+$/, ""); printf "%s.%02d=%s\n", key, NR, $0 }'; }

# fields KEY: input of the form `name : value`, each an observation by its name.
fields() {
    awk -v key="VALUE $scenario/$1" '{ at = index($0, ":"); name = substr($0, 1, at - 1); text = substr($0, at + 1)
        gsub(/^[ \t]+|[ \t]+$/, "", name); gsub(/^[ \t]+|[ \t]+$/, "", text); gsub(/[ \t=]+/, "_", name)
        printf "%s.%s=%s\n", key, name, text }'
}

# told KEY COMMAND...: what a user sees of a command, both streams and the status.
told() {
    local key=$1 status
    shift
    "$@" > /tmp/told 2>&1
    status=$?
    plain < /tmp/told | lines "$key"
    value "$key.status" $status
    return $status
}

# What differs from run to run on the same hypervisor: addresses, process numbers, times.
plain() { sed -E 's/0x[0-9a-f]{5,16}/ADDRESS/g; s/mfn 0x[0-9a-f]+/mfn ADDRESS/g; s/\b(pid|PID)[ =]*[0-9]+/\1 N/g; s/Domain [1-9][0-9]*:/Domain N:/g; s/\b(Created d|setting dom|Shutting down domain |Rebooting domain )[0-9]+/\1N/; s/\bDomain [0-9]+ has been/Domain N has been/; s/\[[0-9]{3,}\]/[N]/g;
    s#(/libxl|/local/domain|backend/[a-z]+)/[1-9][0-9]*#\1/N#g; s/[0-9]{4}-[0-9]{2}-[0-9]{2}T? ?[0-9:.]+Z?/TIME/g'; }

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local end=$(($(uptime_seconds) + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ "$(uptime_seconds)" -lt $end ] || return 1
        sleep 0.5
    done
}

# config NAME LINE...: a guest's configuration under /mnt/scratch; without a LINE on kernel or memory it is the small guest.
config() {
    local file=/mnt/scratch/$1.cfg name=$1 line
    shift
    {
        echo "name = \"$name\""
        for line; do echo "$line"; done
    } > "$file"
    grep -qE '^(kernel|bootloader)' "$file" || echo 'kernel = "/usr/lib/grub-xen/grub-x86_64-xen.bin"' >> "$file"
    grep -q '^memory' "$file" || echo 'memory = 32' >> "$file"
}

# linux NAME WORDS LINE...: a configuration of a guest with Debian's kernel; WORDS go to its init by the command line.
linux() {
    local name=$1 words=$2
    shift 2
    config "$name" 'kernel = "/mnt/guests/linux-6.1"' 'ramdisk = "/mnt/guests/initrd-6.1"' \
        "extra = \"console=hvc0 quiet $words\"" "$@"
    sed -i 's/^memory = 32$/memory = 128/' "/mnt/scratch/$name.cfg"
}

# domains: xl list without its times.
domains() { xl list "$@" | awk '{ print $1, $3, $4, $5 }'; }

# console NAME: what a guest has printed.
console() { tr -d '\r' < "/var/log/xen/console/guest-$1.log" 2>/dev/null; }

# said NAME PATTERN: whether it has printed such a line yet.
said() { console "$1" | grep -qE "$2"; }

# hears NAME SECONDS PATTERN [COUNT]: waits for the COUNTth such line of a guest. Sleeps in between, as a poll would take
# its only CPU away from the guest.
hears() {
    local heard
    rm -f /tmp/heard && mkfifo /tmp/heard || return 1
    timeout "$2" tail -n +1 -F "/var/log/xen/console/guest-$1.log" > /tmp/heard 2>/dev/null &
    heard=$(grep -a -E -c -m "${4:-1}" "$3" < /tmp/heard)
    kill $! 2>/dev/null
    [ "$heard" = "${4:-1}" ]
}

# types NAME LINE: a user at a guest's console.
types() { printf '%s\n' "$2" > "$(xenstore-read "/local/domain/$(xl domid "$1")/console/tty")"; }

# state NAME: the letters of xl list, `-` for a domain that is not there.
state() { xl list "$1" 2>/dev/null | awk 'NR == 2 { print $5 } END { if (NR < 2) print "-" }'; }

gone() { ! xl domid "$1" > /dev/null 2>&1; }

# self_checks NAME SECONDS: waits for a guest's own checks and reports each.
self_checks() {
    hears "$1" "$2" '^GUEST done'
    verdict "$1-done" "$(console "$1" | tail -n 1 | cut -c 1-80)" || console "$1" | tail -n 40 | sed 's/^/NOTE | /'
    console "$1" | sed -nE "s/^GUEST ([a-z-]+): (PASS|FAIL)(.*)/TEST $(echo "$scenario" | sed 's/[.]/\\&/g')\/$1-\1: \2\3/p"
}
