#: about = "credit2's weights and caps, pinning, CPU pools; what another scheduler's commands say"
#: cpus = 2
config one 'vcpus = 2'
told create xl create -p one.cfg
told credit2 xl sched-credit2
told credit2-set xl sched-credit2 -d one -w 512 -c 50
told credit2-get xl sched-credit2 -d one
told credit2-weight-0 xl sched-credit2 -d one -w 0
told credit2-weight-too-much xl sched-credit2 -d one -w 70000
told credit2-cap-too-much xl sched-credit2 -d one -c 1000
told credit2-parameters xl sched-credit2 -s
told credit2-ratelimit xl sched-credit2 -s -p Pool-0 -r 2000
told credit2-ratelimit-get xl sched-credit2 -s -p Pool-0
told credit xl sched-credit
told credit-set xl sched-credit -d one -w 512
told rtds xl sched-rtds
pins() { xl vcpu-list one | awk '{ if (NR > 1) $6 = "T"; $4 = "C"; $1 = $1; print }'; }
told pin xl vcpu-pin one 0 1
told pin-soft xl vcpu-pin one 1 all 0
pins | lines pins
told pin-nowhere xl vcpu-pin one 0 9
told pin-no-vcpu xl vcpu-pin one 5 0
told pools xl cpupool-list
told pools-cpus xl cpupool-list -c
told pool-remove-cpu xl cpupool-cpu-remove Pool-0 1
printf 'name = "other"\nsched = "credit2"\ncpus = ["1"]\n' > pool.cfg
told pool-create xl cpupool-create pool.cfg
told pools-two xl cpupool-list
told pools-two-cpus xl cpupool-list -c
told pool-migrate xl cpupool-migrate one other
domains one | lines list
told pool-destroy-busy xl cpupool-destroy other
told pool-migrate-back xl cpupool-migrate one Pool-0
told pool-destroy xl cpupool-destroy other
told pool-add-cpu xl cpupool-cpu-add Pool-0 1
told pools-after xl cpupool-list
told pool-numa xl cpupool-numa-split
told pool-rename xl cpupool-rename Pool-0 renamed
told pools-end xl cpupool-list
