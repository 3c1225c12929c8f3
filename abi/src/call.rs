//! Hypercall numbers. Source: Xen public header `xen.h` (`__HYPERVISOR_*`).

use crate::layout::{constants, numbers};

numbers! {
    /// A hypercall number as it stands in the caller's rax; anything without a name is not there (`ENOSYS`).
    pub struct Call(u32) {
        SET_TRAP_TABLE = 0, "__HYPERVISOR_set_trap_table";
        MMU_UPDATE = 1, "__HYPERVISOR_mmu_update";
        SET_GDT = 2, "__HYPERVISOR_set_gdt";
        STACK_SWITCH = 3, "__HYPERVISOR_stack_switch";
        SET_CALLBACKS = 4, "__HYPERVISOR_set_callbacks";
        FPU_TASKSWITCH = 5, "__HYPERVISOR_fpu_taskswitch";
        SCHED_OP_COMPAT = 6, "__HYPERVISOR_sched_op_compat";
        PLATFORM_OP = 7, "__HYPERVISOR_platform_op";
        SET_DEBUGREG = 8, "__HYPERVISOR_set_debugreg";
        GET_DEBUGREG = 9, "__HYPERVISOR_get_debugreg";
        UPDATE_DESCRIPTOR = 10, "__HYPERVISOR_update_descriptor";
        MEMORY_OP = 12, "__HYPERVISOR_memory_op";
        MULTICALL = 13, "__HYPERVISOR_multicall";
        UPDATE_VA_MAPPING = 14, "__HYPERVISOR_update_va_mapping";
        SET_TIMER_OP = 15, "__HYPERVISOR_set_timer_op";
        EVENT_CHANNEL_OP_COMPAT = 16, "__HYPERVISOR_event_channel_op_compat";
        XEN_VERSION = 17, "__HYPERVISOR_xen_version";
        CONSOLE_IO = 18, "__HYPERVISOR_console_io";
        PHYSDEV_OP_COMPAT = 19, "__HYPERVISOR_physdev_op_compat";
        GRANT_TABLE_OP = 20, "__HYPERVISOR_grant_table_op";
        VM_ASSIST = 21, "__HYPERVISOR_vm_assist";
        UPDATE_VA_MAPPING_OTHERDOMAIN = 22, "__HYPERVISOR_update_va_mapping_otherdomain";
        IRET = 23, "__HYPERVISOR_iret";
        VCPU_OP = 24, "__HYPERVISOR_vcpu_op";
        SET_SEGMENT_BASE = 25, "__HYPERVISOR_set_segment_base";
        MMUEXT_OP = 26, "__HYPERVISOR_mmuext_op";
        XSM_OP = 27, "__HYPERVISOR_xsm_op";
        NMI_OP = 28, "__HYPERVISOR_nmi_op";
        SCHED_OP = 29, "__HYPERVISOR_sched_op";
        CALLBACK_OP = 30, "__HYPERVISOR_callback_op";
        XENOPROF_OP = 31, "__HYPERVISOR_xenoprof_op";
        EVENT_CHANNEL_OP = 32, "__HYPERVISOR_event_channel_op";
        PHYSDEV_OP = 33, "__HYPERVISOR_physdev_op";
        HVM_OP = 34, "__HYPERVISOR_hvm_op";
        SYSCTL = 35, "__HYPERVISOR_sysctl";
        DOMCTL = 36, "__HYPERVISOR_domctl";
        KEXEC_OP = 37, "__HYPERVISOR_kexec_op";
        TMEM_OP = 38, "__HYPERVISOR_tmem_op";
        ARGO_OP = 39, "__HYPERVISOR_argo_op";
        XENPMU_OP = 40, "__HYPERVISOR_xenpmu_op";
        DM_OP = 41, "__HYPERVISOR_dm_op";
        HYPFS_OP = 42, "__HYPERVISOR_hypfs_op";
        /// Machine checks, see [`crate::mca`].
        MCA = 48, "__HYPERVISOR_arch_0";
        /// Continuation of paging domctls inside Xen itself; never called by guests.
        PAGING_DOMCTL_CONTINUATION = 49, "__HYPERVISOR_arch_1";
        ARCH_2 = 50, "__HYPERVISOR_arch_2";
        ARCH_3 = 51, "__HYPERVISOR_arch_3";
        ARCH_4 = 52, "__HYPERVISOR_arch_4";
        ARCH_5 = 53, "__HYPERVISOR_arch_5";
        ARCH_6 = 54, "__HYPERVISOR_arch_6";
        ARCH_7 = 55, "__HYPERVISOR_arch_7";
    }
}

constants! {
    /// Size of the dispatch table: numbers from here on are never there. Not in the public headers.
    pub const CALL_LIMIT: u32 = 64, "";
    /// Bytes of one slot of a hypercall page. Not in the public headers.
    pub const HYPERCALL_PAGE_SLOT: usize = 32, "";
}
