//! Xen's CPUID leaves. Source: Xen public header `arch-x86/cpuid.h`.

use crate::layout::constants;

constants! {
    /// First leaf; the others follow it.
    pub const FIRST_LEAF: u32 = 0x4000_0000, "XEN_CPUID_FIRST_LEAF";
    /// "XenV" in ebx of the first leaf.
    pub const SIGNATURE_EBX: u32 = 0x566E_6558, "XEN_CPUID_SIGNATURE_EBX";
    /// "MMXe" in ecx.
    pub const SIGNATURE_ECX: u32 = 0x6558_4D4D, "XEN_CPUID_SIGNATURE_ECX";
    /// "nVMM" in edx.
    pub const SIGNATURE_EDX: u32 = 0x4D4D_566E, "XEN_CPUID_SIGNATURE_EDX";
    /// Leaf +2, ecx: mmu_update can preserve accessed and dirty bits.
    pub const FEATURE_PRESERVE_AD: u32 = 1, "XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD";
    /// Leaf +4, eax.
    pub const HVM_APIC_ACCESS_VIRT: u32 = 1 << 0, "XEN_HVM_CPUID_APIC_ACCESS_VIRT";
    /// Leaf +4, eax.
    pub const HVM_X2APIC_VIRT: u32 = 1 << 1, "XEN_HVM_CPUID_X2APIC_VIRT";
    /// Leaf +4, eax.
    pub const HVM_IOMMU_MAPPINGS: u32 = 1 << 2, "XEN_HVM_CPUID_IOMMU_MAPPINGS";
    /// Leaf +4, eax: ebx holds the vCPU id.
    pub const HVM_VCPU_ID_PRESENT: u32 = 1 << 3, "XEN_HVM_CPUID_VCPU_ID_PRESENT";
    /// Leaf +4, eax: ecx holds the domain id.
    pub const HVM_DOMID_PRESENT: u32 = 1 << 4, "XEN_HVM_CPUID_DOMID_PRESENT";
    /// Leaf +4, eax.
    pub const HVM_EXT_DEST_ID: u32 = 1 << 5, "XEN_HVM_CPUID_EXT_DEST_ID";
    /// Leaf +4, eax.
    pub const HVM_UPCALL_VECTOR: u32 = 1 << 6, "XEN_HVM_CPUID_UPCALL_VECTOR";
    /// Leaf +5, ebx: width of machine addresses a PV guest may see.
    pub const MACHINE_ADDRESS_WIDTH_MASK: u32 = 0xFF, "XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK";
    /// Highest leaf as an offset.
    pub const MAX_NUM_LEAVES: u32 = 5, "XEN_CPUID_MAX_NUM_LEAVES";
}
