//! Scans the C headers for names that the crate should state.

use std::path::Path;

use crate::c_program::INCLUDE;

/// Headers and the prefixes of the families in them that are stated whole. A prefix that ends in `*` wants a lower-case
/// letter next (toolstack commands, as opposed to their flags).
const FAMILIES: &[(&str, &[&str])] = &[
    (
        "xen.h",
        &[
            "__HYPERVISOR_",
            "MMU_",
            "MMUEXT_",
            "UVMF_",
            "CONSOLEIO_",
            "VMASST_",
            "DOMID_",
            "VIRQ_",
            "SIF_",
            "XEN_VGATYPE_",
        ],
    ),
    ("event_channel.h", &["EVTCHNOP_", "EVTCHNSTAT_", "EVTCHN_", "BIND_PIRQ_"]),
    ("grant_table.h", &["GNTTABOP_", "GNTTAB_", "GNTST_", "GTF_", "GNTMAP_", "GNTCOPY_"]),
    ("sched.h", &["SCHEDOP_", "SHUTDOWN_"]),
    ("vcpu.h", &["VCPUOP_", "RUNSTATE_", "VCPU_SSHOTTMR_", "XEN_RUNSTATE_"]),
    ("memory.h", &["XENMEM_", "XENMEMF_", "XENMAPSPACE_", "XENMAPIDX_"]),
    ("callback.h", &["CALLBACKOP_", "CALLBACKTYPE_", "CALLBACKF_"]),
    ("nmi.h", &["XENNMI_", "XEN_NMIREASON_"]),
    ("version.h", &["XENVER_", "XEN_"]),
    ("features.h", &["XENFEAT_"]),
    ("physdev.h", &["PHYSDEVOP_", "MAP_PIRQ_", "XENIRQSTAT_", "XEN_PCI_"]),
    ("platform.h", &["XENPF_", "QUIRK_", "XEN_"]),
    ("elfnote.h", &["XEN_ELFNOTE_"]),
    ("pmu.h", &["XENPMU_"]),
    ("domctl.h", &["XEN_DOMCTL_*", "XEN_DOMCTL_INTERFACE_VERSION"]),
    ("sysctl.h", &["XEN_SYSCTL_INTERFACE_VERSION"]),
    ("hypfs.h", &["XEN_HYPFS_"]),
    ("kexec.h", &["KEXEC_"]),
    ("argo.h", &["XEN_ARGO_OP_"]),
    ("xenoprof.h", &["XENOPROF_*"]),
    ("hvm/hvm_op.h", &["HVMOP_*"]),
    ("hvm/params.h", &["HVM_PARAM_"]),
    ("hvm/dm_op.h", &["XEN_DMOP_*"]),
    ("xsm/flask_op.h", &["FLASK_"]),
    ("arch-x86/xen.h", &["VGCF_", "XEN_X86_EMU_", "FIRST_RESERVED_", "XEN_LEGACY_"]),
    ("arch-x86/xen-x86_64.h", &["FLAT_", "SEGBASE_", "VGCF_", "HYPERVISOR_", "MACH2PHYS_"]),
    ("arch-x86/cpuid.h", &["XEN_CPUID_", "XEN_HVM_CPUID_"]),
    ("arch-x86/xen-mca.h", &["XEN_MC_*", "XEN_MCA_"]),
];

/// Names that match a prefix and are left out, with the reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("__HYPERVISOR_VIRT_", "unsuffixed twin of HYPERVISOR_VIRT_*"),
    ("__HYPERVISOR_dom0_op", "old name"),
    ("VIRQ_ARCH_", "architecture slots; VIRQ_MCA is the one in use"),
    ("DOMID_MASK", "mask of a field, no domain"),
    ("EVTCHNOP_reset_cont", "for Xen itself only"),
    ("XEN_DOMCTL_soft_reset_cont", "for Xen itself only"),
    ("XENFEAT_grant_map_identity", "for old interface versions only"),
    ("GNTTABOP_error_msgs", "text"),
    ("XENMEM_paging_op_", "sub-operations of an operation that is not built in"),
    ("XENMEM_access_op_", "sub-operations of an operation that is not built in"),
    ("XENMEM_sharing_op_", "sub-operations of an operation that is not built in"),
    ("XENMEM_SHARING_", "sub-operations of an operation that is not built in"),
    ("XENMEM_FORK_", "sub-operations of an operation that is not built in"),
    ("XENMEM_add_to_physmap_range", "old name"),
    ("XENMEM_resource_ioreq_server_frame_ioreq(", "a macro with an argument"),
    ("XEN_EFI_VARIABLE_", "attributes that pass through to the firmware"),
    ("XENMEMF_", "the macros with arguments; the flags are stated and checked by value"),
    ("XEN_NMIREASON_parity_error", "old name"),
    ("XENPF_settime", "stated as settime32 and settime64"),
    ("XENOPROF_last_op", "a limit, not a command"),
    ("PHYSDEVOP_IRQ_STATUS_QUERY", "old name"),
    ("PHYSDEVOP_SET_IO", "old name"),
    ("PHYSDEVOP_APIC_", "old name"),
    ("PHYSDEVOP_ASSIGN_VECTOR", "old name"),
    ("PHYSDEVOP_FREE_VECTOR", "old name"),
    ("PHYSDEVOP_IRQ_NEEDS_UNMASK_NOTIFY", "old name"),
    ("PHYSDEVOP_IRQ_SHARED", "old name"),
    ("PHYSDEVOP_pirq_eoi_gmfn", "old name"),
    ("XEN_ELFNOTE_MAX", "a limit, not a note"),
    ("KEXEC_CMD_kexec_load", "stated; the header has an old spelling as well"),
    ("KEXEC_CMD_kexec_unload", "stated; the header has an old spelling as well"),
    ("HVMOP_set_pci_intx_level", "gone since 4.9"),
    ("HVMOP_set_isa_irq_level", "gone since 4.9"),
    ("HVMOP_set_pci_link_route", "gone since 4.9"),
    ("HVMOP_altp2m_", "sub-operations of an operation that is not built in"),
    ("HVM_PARAM_CALLBACK_", "values of a parameter; HVM guests come later"),
    ("HVM_PARAM_MEMORY_EVENT_", "obsolete parameters"),
    ("XEN_DMOP_no_gfns", "a flag; its struct comes with HVM guests"),
    ("XEN_DOMCTL_vmtrace_", "sub-operations of an operation that is not built in"),
    ("VGCF_I387_VALID", "old name"),
    ("VGCF_IN_", "old name"),
    ("FLAT_KERNEL_", "aliases; the ones in use are stated"),
    ("FLAT_USER_", "aliases; the ones in use are stated"),
    ("XEN_CPUID_LEAF", "a macro with an argument"),
    ("MMU_UPDATE", "no such number"),
];

/// Headers whose structs are stated whole.
const STRUCT_HEADERS: &[&str] = &[
    "xen.h",
    "event_channel.h",
    "grant_table.h",
    "sched.h",
    "vcpu.h",
    "memory.h",
    "callback.h",
    "nmi.h",
    "version.h",
    "physdev.h",
    "platform.h",
    "arch-x86/xen.h",
    "arch-x86/xen-x86_64.h",
];

/// Structs that are left out, with the reason.
const LEFT_OUT_STRUCTS: &[(&str, &str)] = &[
    ("xenctl_bitmap", "toolstack"),
    ("xen_mem_paging_op", "operation that is not built in"),
    ("xen_mem_access_op", "operation that is not built in"),
    ("xen_mem_sharing_op", "operation that is not built in"),
    ("mem_sharing_op_", "operation that is not built in"),
    ("xen_processor_flags", "bit fields, a u32 of ProcessorPowerInfo"),
];

/// Numbers of the C headers that are missing in `stated`.
pub fn unstated_numbers(stated: &[String]) -> Vec<String> {
    let mut missing = Vec::new();
    for (header, prefixes) in FAMILIES {
        for line in read(header).lines() {
            let mut words = line.strip_prefix('#').unwrap_or("").split_whitespace();
            let (Some("define"), Some(name)) = (words.next(), words.next()) else {
                continue;
            };
            let has_value = words.next().is_some_and(|value| !value.starts_with("/*"));
            let wanted = has_value && prefixes.iter().any(|prefix| matches(name, prefix));
            let left_out = LEFT_OUT.iter().any(|(prefix, _)| name.starts_with(prefix));
            if wanted && !left_out && !stated.iter().any(|known| known == name) {
                missing.push(format!("{header}: {name}"));
            }
        }
    }
    missing
}

/// Structs of the C headers that are missing in `stated`.
pub fn unstated_structs(stated: &[&str]) -> Vec<String> {
    let mut missing = Vec::new();
    for header in STRUCT_HEADERS {
        let text = read(header);
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let line = line.trim().trim_start_matches("typedef ");
            let Some(rest) = line.strip_prefix("struct ") else {
                continue;
            };
            let opens =
                rest.ends_with('{') || (!rest.contains(' ') && lines.peek().is_some_and(|next| next.trim() == "{"));
            let name = rest.trim_end_matches('{').trim();
            let left_out = LEFT_OUT_STRUCTS.iter().any(|(prefix, _)| name.starts_with(prefix));
            let known = stated.iter().any(|stated| stated.strip_prefix("struct ") == Some(name));
            if opens && !name.is_empty() && !left_out && !known {
                missing.push(format!("{header}: struct {name}"));
            }
        }
    }
    missing
}

fn matches(name: &str, prefix: &str) -> bool {
    match prefix.strip_suffix('*') {
        Some(prefix) => {
            name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
        }
        None => name.starts_with(prefix),
    }
}

fn read(header: &str) -> String {
    let path = Path::new(INCLUDE).join(header);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; install libxen-dev, this test compares with it", path.display()))
}
