#: about = "configurations that cannot or barely work: xl's usual message, Xen's error, nothing left behind"
#: limit = 300
#: last = true
before=$(xl info free_memory)
try() {
    local name=$1
    shift
    config "$name" "$@"
    told "$name" timeout 60 xl create -p "$name.cfg"
    if gone "$name"; then value "$name.left" nothing; else value "$name.left" "$(state "$name")" && xl destroy "$name"; fi
}
try no-vcpus 'vcpus = 0'
try many-vcpus 'vcpus = 129'
try too-many-vcpus 'vcpus = 9000'
try no-kernel 'kernel = "/mnt/guests/nothing"'
try wrong-kernel 'kernel = "/mnt/guests/pattern.raw"'
try too-much-memory 'memory = 60000'
try no-memory 'memory = 0'
try no-bridge 'vif = ["bridge=nowhere"]'
try no-disk 'disk = ["/mnt/guests/nothing,raw,xvda,w"]'
try wrong-pool 'pool = "nowhere"'
try wrong-pin 'cpus = "9"'
try wrong-type 'type = "nonsense"'
try hvm 'type = "hvm"'
try pvh 'type = "pvh"'
try wrong-cpuid 'cpuid = "host,nonsense=x"'
try wrong-weight 'cpu_weight = 100000'
try wrong-grants 'max_grant_frames = 0'
try wrong-backend 'vif = ["bridge=xenbr0,backend=nobody"]'
try big-ramdisk 'ramdisk = "/mnt/guests/linux-6.1"' 'memory = 8'
printf 'name = "broken\nmemory = [' > broken.cfg
told syntax xl create broken.cfg
told nothing xl create nowhere.cfg
head -c 4096 /dev/urandom > stream
told restore-garbage xl restore stream
config one
xl create -p one.cfg > /dev/null
told create-twice xl create one.cfg
told save-full-disk xl save one /dev/full
xl destroy one
domains | lines list
xenstore-ls /libxl 2>&1 | lines libxl
after=$(xl info free_memory)
[ "$before" = "$after" ]
verdict free-memory "$before MiB before, $after MiB after"
