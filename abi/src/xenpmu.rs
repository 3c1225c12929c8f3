//! xenpmu_op. Source: Xen public header `pmu.h`.

use crate::{
    VcpuId,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Sub-operation of xenpmu_op.
    pub struct PmuOperation(u32) {
        MODE_GET = 0, "XENPMU_mode_get";
        MODE_SET = 1, "XENPMU_mode_set";
        FEATURE_GET = 2, "XENPMU_feature_get";
        FEATURE_SET = 3, "XENPMU_feature_set";
        INIT = 4, "XENPMU_init";
        FINISH = 5, "XENPMU_finish";
        LVTPC_SET = 6, "XENPMU_lvtpc_set";
        FLUSH = 7, "XENPMU_flush";
    }

    /// Mode of the PMU.
    pub struct PmuMode(u64) {
        OFF = 0, "XENPMU_MODE_OFF";
        SELF = 1 << 0, "XENPMU_MODE_SELF";
        HYPERVISOR = 1 << 1, "XENPMU_MODE_HV";
        ALL = 1 << 2, "XENPMU_MODE_ALL";
    }

    /// Features of the PMU.
    pub struct PmuFeatures(u64) {
        INTEL_BTS = 1 << 0, "XENPMU_FEATURE_INTEL_BTS";
        IPC_ONLY = 1 << 1, "XENPMU_FEATURE_IPC_ONLY";
        ARCH_ONLY = 1 << 2, "XENPMU_FEATURE_ARCH_ONLY";
    }
}

constants! {
    /// Major interface version.
    pub const PMU_VERSION_MAJOR: u32 = 0, "XENPMU_VER_MAJ";
    /// Minor interface version.
    pub const PMU_VERSION_MINOR: u32 = 1, "XENPMU_VER_MIN";
}

wire! {
    /// Argument of every sub-operation.
    pub struct PmuParams = "struct xen_pmu_params", 24 {
        /// In or out: interface version.
        pub version_major: u32 = "version.maj",
        /// In or out: interface version.
        pub version_minor: u32 = "version.min",
        /// Mode, features, or frame.
        pub value: u64 = "val",
        /// Which vCPU.
        pub vcpu: VcpuId = "vcpu",
        /// Padding.
        pub reserved: u32 = "pad",
    }
}
