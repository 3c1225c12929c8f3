//! What this crate does not compare, each with its reason.
//!
//! A pattern is a name, or a prefix followed by `*`. One that matches nothing in any release's headers is an error.

/// Pattern and reason.
pub type List = &'static [(&'static str, &'static str)];
/// Header, patterns in it, and their common reason.
pub type ByHeader = &'static [(&'static str, &'static [&'static str], &'static str)];

/// Headers that the hypervisor has nothing to do with, or not yet.
pub const HEADERS: List = &[
    (
        "io/*",
        "protocols between guests; the hypervisor forwards events and grants without looking (io/console.h aside)",
    ),
    ("sys/*", "interface of a dom0 kernel to its own processes"),
    ("evtchn.h", "interface of a dom0 kernel to its own processes"),
    ("gntalloc.h", "interface of a dom0 kernel to its own processes"),
    ("gntdev.h", "interface of a dom0 kernel to its own processes"),
    ("privcmd.h", "interface of a dom0 kernel to its own processes"),
    ("arch-arm*", "another architecture"),
    ("arch-ppc*", "another architecture"),
    ("arch-riscv*", "another architecture"),
    ("arch-x86_32.h", "32-bit guests are not supported"),
    ("arch-x86/xen-x86_32.h", "32-bit guests are not supported"),
    ("arch-x86_64.h", "includes others only"),
    ("foreign/*", "the same structs for other architectures' tools"),
    ("device_tree_defs.h", "another architecture"),
    ("xencomm.h", "another architecture"),
    ("dom0_ops.h", "old names of domctl, sysctl and platform_op"),
    ("tmem.h", "transcendent memory, gone since 4.13"),
    ("trace.h", "contents of the trace buffer, which is not built in"),
    ("vm_event.h", "introspection of HVM guests, which is not built in"),
    ("arch-x86/cpufeatureset.h", "names of CPUID bits, not of the interface; pv-cpu states those it uses"),
    ("arch-x86/guest-acpi.h", "between a device model and its guest"),
    ("arch-x86/hvm/*", "state and start of HVM and PVH guests, which come later"),
    ("hvm/e820.h", "HVM guests come later"),
    ("hvm/hvm_info_table.h", "HVM guests come later"),
    ("hvm/hvm_vcpu.h", "HVM guests come later"),
    ("hvm/hvm_xs_strings.h", "xenstore paths"),
    ("hvm/ioreq.h", "HVM guests come later"),
    ("hvm/pvdrivers.h", "between a device model and its guest"),
    ("hvm/save.h", "HVM guests come later"),
];

/// Integers of the headers that are compared.
const NUMBERS: ByHeader = &[
    ("xen-compat.h", &["__XEN_INTERFACE_VERSION__", "__XEN_LATEST_INTERFACE_VERSION__"], "what the includer chose"),
    ("xen.h", &["VIRQ_ARCH_*"], "slots of architectures; VIRQ_MCA is the one in use"),
    ("xen.h", &["DOMID_MASK"], "mask of a field, no domain"),
    ("arch-x86/xen.h", &["XEN_HAVE_*"], "switches for C code"),
    ("arch-x86/xen.h", &["VGCF_I387_VALID", "VGCF_IN_KERNEL"], "old names"),
    ("arch-x86/xen.h", &["XEN_X86_MISC_FLAGS_MAX"], "for a check in C bindings"),
    ("arch-x86/xen-x86_64.h", &["VGCF_IN_SYSCALL"], "old name"),
    ("arch-x86/xen-x86_64.h", &["FLAT_KERNEL_*", "FLAT_USER_*"], "second names; the ones in use are stated"),
    ("arch-x86/xen-x86_64.h", &["__HYPERVISOR_VIRT_*", "__MACH2PHYS_VIRT_*"], "twins without a suffix for C's types"),
    ("grant_table.h", &["GTF_*", "GNTMAP_*"], "all that matter are stated; these are shifts of theirs"),
    ("platform.h", &["XENPF_settime"], "stated as settime32 and settime64"),
    ("platform.h", &["XEN_EFI_VARIABLE_*"], "attributes that pass through to the firmware"),
    ("memory.h", &["XENMEM_paging_op_*", "XENMEM_access_op_*", "XENMEM_sharing_op_*"], "of operations not built in"),
    ("memory.h", &["XENMEM_SHARING_*", "XENMEM_FORK_*"], "of operations not built in"),
    ("memory.h", &["XENMEM_access_*", "XENMEM_resource_grant_table_id_*"], "arguments of operations not built in"),
    ("physdev.h", &["PHYSDEVOP_IRQ_*"], "old names"),
    ("physdev.h", &["PHYSDEVOP_pirq_eoi_gmfn"], "second name of pirq_eoi_gmfn_v1"),
    ("physdev.h", &["PCI_DEVICE_RESET_*"], "the call is newer than what is served"),
    ("errno.h", &["XEN_EDEADLOCK", "XEN_EWOULDBLOCK"], "second names"),
    ("elfnote.h", &["XEN_ELFNOTE_PHYS32_RELOC"], "of PVH guests, which come later"),
    ("elfnote.h", &["XEN_ELFNOTE_MAX"], "a limit, not a note"),
    ("domctl.h", &["XEN_DOMCTL_CDF_*", "XEN_DOMCTL_IOMMU_*", "XEN_DOMCTL_GRANT_*"], "limits for C bindings, or unused"),
    ("domctl.h", &["XEN_DOMINF_*", "XEN_DOMCTL_PFINFO_*", "XEN_VCPUAFFINITY_*"], "masks and shifts of what is stated"),
    ("domctl.h", &["XEN_DOMCTL_MONITOR_*", "XEN_DOMCTL_VM_EVENT_*", "XEN_VM_EVENT_*"], "introspection is not built in"),
    ("domctl.h", &["XEN_DOMCTL_MEM_SHARING_*", "XEN_DOMCTL_ALTP2M_*"], "not built in"),
    ("domctl.h", &["XEN_DOMCTL_vmtrace_*", "XEN_DOMCTL_DEBUG_OP_*"], "not built in"),
    ("domctl.h", &["XEN_DOMCTL_PSR_*"], "allocation of caches is not built in"),
    ("domctl.h", &["XEN_DOMCTL_VUART_*", "XEN_DOMCTL_DEV_DT"], "another architecture"),
    ("domctl.h", &["XEN_DOMCTL_SHADOW_*"], "shadow paging is not built in"),
    (
        "domctl.h",
        &["XEN_DOMCTL_*MEM_CACHEATTR*", "PT_IRQ_TYPE_*", "XEN_DOMCTL_VMSI_X86_*", "DPCI_*"],
        "HVM guests with devices come later",
    ),
    ("domctl.h", &["XEN_DOMCTL_DEV_*", "XEN_DOMCTL_GSI_ACTION_MASK"], "devices of guests come later"),
    ("domctl.h", &["XEN_DOMCTL_SCHED*", "XEN_SCHEDULER_*", "XEN_INVALID_MAX_VCPU_ID"], "other schedulers; old names"),
    ("domctl.h", &["XEN_DOMCTL_SENDTRIGGER_*"], "buttons of HVM guests"),
    ("domctl.h", &["XEN_CPUID_INPUT_UNUSED"], "a value of tools"),
    ("sysctl.h", &["XEN_LIVEPATCH_*", "LIVEPATCH_*", "XEN_SYSCTL_LIVEPATCH_*"], "live patching is not built in"),
    ("sysctl.h", &["LOCKPROF_*", "XEN_SYSCTL_LOCKPROF_*", "XEN_SYSCTL_PERFCOP_*"], "profiling is not built in"),
    ("sysctl.h", &["XEN_SYSCTL_COVERAGE_*", "XEN_GCOV_*", "XEN_SYSCTL_TBUFOP_*"], "not built in"),
    ("sysctl.h", &["XEN_SYSCTL_PSR_*"], "allocation of caches is not built in"),
    (
        "sysctl.h",
        &["PMSTAT_*", "PM_PARA_*", "*CPUFREQ_*", "SCALING_*", "SAMPLING_RATE", "UP_THRESHOLD"],
        "frequencies are dom0's",
    ),
    (
        "sysctl.h",
        &["XEN_SYSCTL_pm_op_*", "XEN_SYSCTL_CX_UNLIMITED", "XEN_SYSCTL_CPPC_*", "XEN_CPPC_*"],
        "frequencies are dom0's",
    ),
    (
        "sysctl.h",
        &[
            "PG_OFFLINE_AGAIN",
            "PG_OFFLINE_STATUS_MASK",
            "PG_OFFLINE_STATUS_ONLINE",
            "PG_OFFLINE_STATUS_BROKEN",
            "PG_OFFLINE_MISC_MASK",
            "PG_OFFLINE_DOM0PAGE",
            "PG_OFFLINE_ANONYMOUS",
            "PG_OFFLINE_BROKEN",
            "PG_ONLINE_FAILED",
            "PG_ONLINE_BROKEN",
        ],
        "no frame is broken here, and each that is in use has an owner",
    ),
    (
        "sysctl.h",
        &["XEN_SYSCTL_CPUPOOL_*", "ARINC653_*", "XEN_SYSCTL_CSCHED_*", "XEN_SYSCTL_SCHED*"],
        "other schedulers and pools",
    ),
    (
        "sysctl.h",
        &["XEN_SYSCTL_PHYSCAP_*", "XEN_SYSCTL_CPU_*", "XEN_SYSCTL_cpu_*"],
        "stated with the calls that use them",
    ),
    ("sysctl.h", &["XEN_INVALID_*"], "stated with the calls that use them"),
    ("kexec.h", &["KEXEC_CMD_kexec_load*", "KEXEC_CMD_kexec_unload"], "stated; the header has an old spelling as well"),
    ("argo.h", &["XEN_ARGO_*"], "the call is not built in; its operations alone are stated"),
    ("xenoprof.h", &["XENOPROF_*", "MAX_OPROF_*"], "the call is not built in; its operations alone are stated"),
    ("arch-x86/pmu.h", &["PMU_*", "XENPMU_*"], "performance counters are not built in; the calls alone are stated"),
    ("hvm/hvm_op.h", &["HVMOP_altp2m_*"], "of an operation that is not built in"),
    ("hvm/hvm_op.h", &["HVM_IOREQSRV_*"], "HVM guests come later"),
    (
        "hvm/params.h",
        &["HVM_PARAM_CALLBACK_*", "HVMPV_*", "HVMPTM_*", "XEN_ALTP2M_*", "XEN_HVM_MCA_*"],
        "values of HVM guests' parameters",
    ),
    ("hvm/params.h", &["HVM_PARAM_MEMORY_EVENT_*"], "obsolete parameters"),
    ("hvm/dm_op.h", &["XEN_DMOP_*"], "arguments of device models; they come with HVM guests"),
    ("xsm/flask_op.h", &["FLASK_*"], "the operations are stated"),
    ("arch-x86/cpuid.h", &["XEN_CPUID_TSC_*", "XEN_CPUID_HOST_TSC_*", "XEN_CPUID_RDTSCP_*"], "values of pv-cpu's"),
    (
        "arch-x86/xen-mca.h",
        &["MC_*", "MCINFO_*", "REC_ACTION_*", "XEN_MC_INJECT_*", "XEN_MC_VCPUID_INVALID"],
        "contents of machine check records",
    ),
    ("arch-x86/xen-mca.h", &["__MC_*", "MAX_UNION_SIZE", "__HYPERVISOR_mca"], "for C code"),
];

/// Structs and unions of the headers that are compared.
const TYPES: ByHeader = &[
    ("xen.h", &["xen_uuid_t"], "type of a value that tools alone use"),
    ("arch-x86/xen-mca.h", &["struct mcinfo_*", "struct *_offline_action"], "contents of machine check records"),
    ("arch-x86/xen-mca.h", &["struct xen_mc_*"], "commands that are not built in"),
    ("arch-x86/pmu.h", &["struct xen_pmu_*"], "performance counters are not built in"),
    ("pmu.h", &["struct xen_pmu_data"], "performance counters are not built in"),
    ("argo.h", &["struct xen_argo_*"], "the call is not built in"),
    ("xenoprof.h", &["struct xenoprof_*", "struct event_log"], "the call is not built in"),
    ("hypfs.h", &["struct xen_hypfs_dirlistentry"], "ends in a text of any length"),
    ("kexec.h", &["struct xen_kexec_*"], "the call answers that no image fits"),
    ("xsm/flask_op.h", &["struct xen_flask_*"], "no security module is built in"),
    ("memory.h", &["struct mem_sharing_op_*", "struct xen_mem_paging_op", "struct xen_mem_sharing_op"], "not built in"),
    ("memory.h", &["union xen_add_to_physmap_batch_extra"], "inside a struct that is stated"),
    ("physdev.h", &["struct pci_device_reset"], "the call is newer than what is served"),
    ("version.h", &["struct xen_varbuf"], "ends in a text of any length"),
    ("platform.h", &["union xenpf_efi_info"], "inside a struct that is stated"),
    ("platform.h", &["struct xen_processor_flags"], "bit fields, a u32 of ProcessorPowerInfo"),
    ("platform.h", &["struct xenpf_ucode_revision"], "newer than what is served"),
    ("hvm/hvm_op.h", &["struct xen_hvm_altp2m_*", "struct xen_hvm_xentrace"], "not built in"),
    ("hvm/dm_op.h", &["struct xen_dm_op_*"], "arguments of device models; they come with HVM guests"),
    ("domctl.h", &["struct xen_domctl_hvmcontext*", "struct xen_domctl_sendtrigger"], "HVM guests come later"),
    ("domctl.h", &["struct xen_domctl_*_device*", "struct xen_domctl_bind_pt_irq"], "devices of guests come later"),
    ("domctl.h", &["struct xen_domctl_*_mapping"], "devices of guests come later"),
    ("domctl.h", &["struct xen_domctl_gdbsx_*", "struct xen_domctl_debug_op"], "no operation of a debugger reads them"),
    ("domctl.h", &["struct xen_domctl_vm_event_op", "struct xen_domctl_monitor_op"], "introspection is not built in"),
    ("domctl.h", &["struct xen_domctl_mem_sharing_op", "struct xen_domctl_audit_p2m"], "not built in"),
    ("domctl.h", &["struct xen_domctl_set_access_required", "struct xen_domctl_vmtrace_op"], "not built in"),
    ("domctl.h", &["struct xen_domctl_set_broken_page_p2m", "struct xen_domctl_subscribe"], "not built in"),
    ("domctl.h", &["struct xen_domctl_psr_*"], "allocation of caches is not built in"),
    ("domctl.h", &["struct xen_domctl_vuart_op", "struct xen_domctl_cacheflush"], "another architecture"),
    (
        "domctl.h",
        &["struct xen_domctl_sched_*", "struct xen_domctl_schedparam_vcpu"],
        "parameters of one scheduler each",
    ),
    ("domctl.h", TOOLSTACK_DOMCTL, "comes with the toolstack calls"),
    ("sysctl.h", &["struct xen_livepatch_*", "struct xen_sysctl_livepatch_*"], "live patching is not built in"),
    ("sysctl.h", &["struct xen_sysctl_lockprof_*", "struct xen_sysctl_perfc_*"], "profiling is not built in"),
    ("sysctl.h", &["struct xen_sysctl_coverage_op", "struct xen_sysctl_tbuf_op"], "not built in"),
    ("sysctl.h", &["struct xen_sysctl_psr_*"], "allocation of caches is not built in"),
    ("sysctl.h", &["struct pm_*", "struct xen_sysctl_pm_op", "struct xen_sysctl_get_pmstat"], "frequencies are dom0's"),
    (
        "sysctl.h",
        &["struct xen_*_cpufreq_*", "struct xen_*_cppc_para", "struct xen_cppc_para"],
        "frequencies are dom0's",
    ),
    ("sysctl.h", &["struct xen_ondemand", "struct xen_userspace"], "frequencies are dom0's"),
    (
        "sysctl.h",
        &["struct xen_sysctl_*_schedule", "struct xen_sysctl_sched_arinc653"],
        "parameters of one scheduler each",
    ),
    ("sysctl.h", TOOLSTACK_SYSCTL, "comes with the toolstack calls"),
    ("xen.h", &["struct xenctl_bitmap"], "comes with the toolstack calls"),
];

/// Arguments of domctl operations that are not served yet.
const TOOLSTACK_DOMCTL: &[&str] = &[
    "struct xen_domctl_address_size",
    "struct xen_domctl_cpu_policy",
    "struct xen_domctl_createdomain",
    "struct xen_domctl_ext_vcpucontext",
    "struct xen_domctl_getdomaininfo",
    "struct xen_domctl_getpageframeinfo3",
    "struct xen_domctl_getvcpuinfo",
    "struct xen_domctl_hypercall_init",
    "struct xen_domctl_iomem_permission",
    "struct xen_domctl_ioport_permission",
    "struct xen_domctl_irq_permission",
    "struct xen_domctl_max_mem",
    "struct xen_domctl_max_vcpus",
    "struct xen_domctl_nodeaffinity",
    "struct xen_domctl_paging_mempool",
    "struct xen_domctl_scheduler_op",
    "struct xen_domctl_set_target",
    "struct xen_domctl_set_virq_handler",
    "struct xen_domctl_setdebugging",
    "struct xen_domctl_setdomainhandle",
    "struct xen_domctl_settimeoffset",
    "struct xen_domctl_shadow_op",
    "struct xen_domctl_shadow_op_stats",
    "struct xen_domctl_tsc_info",
    "struct xen_domctl_vcpu_msr",
    "struct xen_domctl_vcpu_msrs",
    "struct xen_domctl_vcpuaffinity",
    "struct xen_domctl_vcpucontext",
    "struct xen_domctl_vcpuextstate",
    "struct xen_domctl_vnuma",
];

/// Arguments of sysctl operations that are not served yet.
const TOOLSTACK_SYSCTL: &[&str] = &[
    "struct xen_sysctl_availheap",
    "struct xen_sysctl_cpu_featureset",
    "struct xen_sysctl_cpu_hotplug",
    "struct xen_sysctl_cpu_levelling_caps",
    "struct xen_sysctl_cpu_policy",
    "struct xen_sysctl_cpuinfo",
    "struct xen_sysctl_cpupool_op",
    "struct xen_sysctl_cputopo",
    "struct xen_sysctl_cputopoinfo",
    "struct xen_sysctl_debug_keys",
    "struct xen_sysctl_getcpuinfo",
    "struct xen_sysctl_getdomaininfolist",
    "struct xen_sysctl_meminfo",
    "struct xen_sysctl_numainfo",
    "struct xen_sysctl_pcitopoinfo",
    "struct xen_sysctl_physinfo",
    "struct xen_sysctl_readconsole",
    "struct xen_sysctl_sched_id",
    "struct xen_sysctl_scheduler_op",
];

/// Structs of this crate that C has no twin of: path.
pub const STRUCTS_OUTSIDE_C: List = &[
    ("abi::domctl_domain::GetDomainState", "newer than 4.20"),
    ("abi::memory::E820Entry", "the PC firmware's record; the interface names it only"),
];

/// Constants of this crate that C has no twin of: path.
pub const CONSTANTS_OUTSIDE_C: List = &[
    ("abi::call::CALL_LIMIT", "size of the call table"),
    ("abi::call::HYPERCALL_PAGE_SLOT", "what guests see in a hypercall page"),
    ("abi::domctl::DomctlOperation::SOFT_RESET_CONT", "in the headers for Xen itself only"),
    ("abi::domctl::DOMCTL_STABLE_VERSION", "newer than 4.20"),
    ("abi::domctl::DomctlOperation::GET_DOMAIN_STATE", "newer than 4.20"),
    ("abi::domctl_domain::DomainCapabilities::CONTROL", "newer than 4.20"),
    ("abi::domctl_domain::DomainCapabilities::HARDWARE", "newer than 4.20"),
    ("abi::domctl_domain::DomainCapabilities::XENSTORE", "newer than 4.20"),
    ("abi::domctl_domain::DomainState::DEAD", "newer than 4.20"),
    ("abi::domctl_domain::DomainState::DYING", "newer than 4.20"),
    ("abi::domctl_domain::DomainState::EXIST", "newer than 4.20"),
    ("abi::domctl_domain::DomainState::SHUTDOWN", "newer than 4.20"),
    ("abi::event_channel::EventChannelOperation::RESET_CONTINUATION", "in the headers for Xen itself only"),
    ("abi::features::Feature::GRANT_MAP_IDENTITY", "in the headers for old interface versions only"),
    ("abi::memory::MemoryOperation::GET_MFN_FROM_PFN", "newer than 4.20"),
    ("abi::mmu::MMU_UPDATE_PREEMPTED", "how a preempted call marks its count, as guests see it"),
];

/// C names that the oldest release has and the newest has not.
pub const GONE: List = &[];

/// Values that change from release to release: C name.
pub const CHANGED: List = &[
    ("XEN_DOMCTL_INTERFACE_VERSION", "one image answers each release's tools; this is the oldest one's"),
    ("XEN_SYSCTL_INTERFACE_VERSION", "one image answers each release's tools; this is the oldest one's"),
];

/// Where the other project's bindings, made from older headers for the oldest interface, say something else.
pub const OTHER_BINDINGS: List = &[
    ("struct vcpu_time_info.pad1", "had no flags before it then"),
    ("struct dom0_vga_console_info", "has grown since"),
];

/// Public constants and types outside the blocks with lists, which are no part of the interface: path below `abi`.
pub const OWN_ITEMS: List = &[
    ("errno::Errno", "a number with its name, compared through its list"),
    ("errno::errnos!", "leaves the list Errno::NAMED, which is compared"),
    ("layout::*", "the lists themselves"),
    ("operations*", "where each operation stands, for docs/abi-status.md"),
    ("frame::PAGE_*", "the architecture's"),
    ("frame::Mfn::INVALID", "INVALID_MFN is a convention without a macro"),
    ("memory::OPERATION_BITS", "a convention of memory_op's first argument without a macro"),
    ("dm::DM_BUFFERS_MAX", "a limit of the call without a macro"),
    ("sched::POLL_PORTS_MAX", "a limit of the call without a macro"),
    ("sched::WATCHDOG_TIMERS", "a limit of the call without a macro"),
    ("xen_x86::EMULATE_PREFIX", "instruction bytes; the header writes them as assembly"),
    ("xen_x86::TRAP_INFO_*", "bits of a field that the header explains in a comment"),
];

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) if !end.is_empty() => {
            let end = end.trim_end_matches('*');
            name.strip_prefix(start).is_some_and(|rest| rest.contains(end))
        }
        Some((start, _)) => name.starts_with(start),
        None => name == pattern,
    }
}

/// Whether a list names it.
pub fn is_listed(list: List, name: &str) -> bool {
    list.iter().any(|(pattern, _)| matches(pattern, name))
}

/// Whether a header is not compared.
pub fn header(name: &str) -> bool {
    name != "io/console.h" && is_listed(HEADERS, name)
}

/// Whether an integer of a header is not compared.
pub fn number(header: &str, name: &str) -> bool {
    by_header(NUMBERS, header, name)
}

/// Whether a type of a header is not compared.
pub fn type_name(header: &str, name: &str) -> bool {
    name.starts_with("__guest_handle_") || by_header(TYPES, header, name)
}

fn by_header(list: ByHeader, header: &str, name: &str) -> bool {
    list.iter().any(|(place, patterns, _)| *place == header && patterns.iter().any(|pattern| matches(pattern, name)))
}

/// Patterns by header that match none of these names (header, name): dead exceptions.
pub fn dead(numbers: &[(String, String)], types: &[(String, String)]) -> Vec<String> {
    let mut dead = Vec::new();
    for (list, names) in [(NUMBERS, numbers), (TYPES, types)] {
        for (place, patterns, _) in list {
            for pattern in *patterns {
                if !names.iter().any(|(header, name)| header == place && matches(pattern, name)) {
                    dead.push(format!("{place}: {pattern}"));
                }
            }
        }
    }
    dead
}
