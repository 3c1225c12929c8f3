//! Options that Xen has and that have no effect here; each is named in a note of its own kind, not as unknown.

/// Names in Xen's spelling, sorted.
#[rustfmt::skip]
pub(crate) const IGNORED: &[&str] = &[
    "acpi_apic_instance", "acpi_pstate_strict", "acpi_skip_timer_override", "acpi_sleep", "allow_unsafe", "altp2m",
    "apic", "apic_verbosity", "arat", "argo", "asid", "ats", "badpage", "bootscrub", "bootscrub_chunk", "bti", "cet",
    "clear-x86-caps", "cmci-threshold", "cpufreq", "cpuid", "cpuid_mask_cpu", "cpuid_mask_ecx", "cpuid_mask_edx",
    "cpuid_mask_ext_ecx", "cpuid_mask_ext_edx", "cpuid_mask_l7s0_eax", "cpuid_mask_l7s0_ebx",
    "cpuid_mask_thermal_ecx", "cpuid_mask_xsave_eax", "cpuidle", "cpuinfo", "crashinfo_maxaddr", "crashkernel",
    "credit2_balance_over", "credit2_balance_under", "credit2_cap_period_ms", "credit2_load_precision_shift",
    "credit2_load_window_shift", "credit2_runqueue", "dbgp", "debug_stack_lines", "debugtrace", "dit", "dma_bits",
    "dom0", "dom0-cpuid", "dom0-iommu", "dom0_ioports_disable", "dom0_nodes", "e820-mtrr-clip", "e820-verbose", "edd",
    "edid", "efi", "ept", "extra_guest_irqs", "flask", "font", "fred", "gdb", "global-pages", "guest_console", "hap",
    "hap_1gb", "hap_2mb", "hardware_dom", "hest_disable", "highmem-start", "hmp-unsafe", "hpet", "hpetbroadcast",
    "hvm_debug", "hvm_fep", "hvm_port80", "idle_latency_factor", "invpcid", "ioapic_ack", "iommu",
    "iommu_dev_iotlb_timeout", "iommu_inclusive_mapping", "irq-max-guests", "irq_vector_map", "ivmd",
    "ivrs_hpet", "ivrs_ioapic", "lapic_timer_c2_ok", "ler", "load-balance-ratelimit", "lock-depth-size",
    "low_crashinfo", "low_mem_virq_limit", "max_cstate", "max_gsi_irqs", "mce", "mce_fb", "mce_verbosity",
    "memop-max-order", "mmcfg", "mmio-relax", "msi", "mtrr.show", "mwait-idle", "nested", "nr_irqs", "numa", "pci",
    "pci-phantom", "pcid", "pdx-compress", "pku", "ple_gap", "ple_window", "probe-port-aliases", "psr", "pv",
    "pv-l1tf", "pv-shim", "real-mode", "rmrr", "ro-hpet", "sched-gran", "sched_credit_tslice_ms",
    "sched_ratelimit_us", "sched_smt_power_savings", "shim_mem", "smap", "smep", "spec-ctrl", "tboot", "tbuf_size",
    "tevt_mask", "tickle_one_idle_cpu", "timer_slop", "tsc", "tsx", "ucode", "unrestricted_guest",
    "vcpu_migration_delay", "vesa-map", "vesa-mtrr", "vesa-ram", "vm-notify-window", "vpid", "vpmu", "wallclock",
    "xpti", "xsave", "xsm",
];
