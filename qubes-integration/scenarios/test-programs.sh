#: about = "Xen's own test programs as Debian ships them in xen-utils, and what its diagnostic tools say"
#: limit = 300
#: last = true
bin=$(xen_directory)/bin
# What each says about itself, one by one; a program that cannot run says so here and on Xen alike or differs.
for program in test-resource test-cpu-policy test-paging-mempool; do
    told "$program" timeout 60 "$bin/$program"
done
# What it says about HVM guests apart, so that the rest keeps its place where there are none.
timeout 60 "$bin/test-tsx" > out 2>&1
value test-tsx.status $?
no_hvm='/^xc: error: Failed to obtain [35] policy|support HVM/'
plain < out | sed -E "${no_hvm}d; /^Testing HVM/,+2d" | lines test-tsx
plain < out | sed -nE "${no_hvm}p; /^Testing HVM/,+2p" | lines test-tsx-hvm
told xen-cpuid-policies "$bin/xen-cpuid" -p
told xen-cpuid-detail "$bin/xen-cpuid" detail
told xen-cpuid-msr "$bin/xen-cpuid"
told hypfs-ls xenhypfs ls /
xenhypfs cat "/buildinfo"/config > out 2>&1
value hypfs-config.status $?
grep -q CONFIG_PV=y out
verdict hypfs-config "$(wc -l < out) lines"
told hypfs-tree xenhypfs tree
for entry in buildinfo/version/major buildinfo/version/extra params/ept nonsense; do
    told "hypfs-cat-${entry##*/}" xenhypfs cat "/$entry"
done
told hypfs-write xenhypfs write "/buildinfo"/version/major 5
# Residencies and frequencies are the run's own; an unnormalised number here would be noise.
for what in get-cpuidle-states get-cpufreq-states get-cpufreq-para get-cpu-topology get-cpufreq-average; do
    "$bin/xenpm" $what > out 2>&1
    value "xenpm-$what.status" $?
    sed -E 's/\[[ 0-9]+(ms|us)?\]/[N]/g; s/[0-9]{4,}/N/g' out | lines "xenpm-$what"
done
told hptool "$bin/xen-hptool"
told hptool-cpu-offline "$bin/xen-hptool" cpu-offline 0
told hptool-cpu-online "$bin/xen-hptool" cpu-online 9
told hptool-mem-status "$bin/xen-hptool" mem-status 1000
told hptool-smt "$bin/xen-hptool" smt-disable
printf 'no microcode' > blob
told ucode "$bin/xen-ucode" blob
told ucode-missing "$bin/xen-ucode" nowhere
told diag "$bin/xen-diag" help
told lsevtchn-nobody "$bin/lsevtchn" 77
"$bin/lsevtchn" 0 > out 2>&1
value lsevtchn.status $?
sed -nE 's/^ *[0-9]+: VCPU [0-9]+: ([A-Z][a-z]+).*/\1/p' out | sort -u | lines lsevtchn
told lockprof "$bin/xenlockprof"
told perf "$bin/xenperf"
told cov "$bin/xencov" read
told livepatch "$bin/xen-livepatch" list
told flask "$bin/flask-getenforce"
told mfndump "$bin/xen-mfndump" lookup-pte 77 0
