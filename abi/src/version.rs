//! xen_version. Source: Xen public header `version.h`.

use crate::layout::{constants, numbers, wire};

numbers! {
    /// Sub-operation of xen_version.
    pub struct VersionOperation(u32) {
        VERSION = 0, "XENVER_version";
        EXTRAVERSION = 1, "XENVER_extraversion";
        COMPILE_INFO = 2, "XENVER_compile_info";
        CAPABILITIES = 3, "XENVER_capabilities";
        CHANGESET = 4, "XENVER_changeset";
        PLATFORM_PARAMETERS = 5, "XENVER_platform_parameters";
        GET_FEATURES = 6, "XENVER_get_features";
        PAGESIZE = 7, "XENVER_pagesize";
        GUEST_HANDLE = 8, "XENVER_guest_handle";
        COMMANDLINE = 9, "XENVER_commandline";
        BUILD_ID = 10, "XENVER_build_id";
        /// From Xen 4.20 on.
        EXTRAVERSION2 = 11, "XENVER_extraversion2";
        /// From Xen 4.20 on.
        CAPABILITIES2 = 12, "XENVER_capabilities2";
        /// From Xen 4.20 on.
        CHANGESET2 = 13, "XENVER_changeset2";
        /// From Xen 4.20 on.
        COMMANDLINE2 = 14, "XENVER_commandline2";
    }
}

constants! {
    /// Bytes of the extra version, NUL included.
    pub const EXTRAVERSION_LEN: usize = 16, "XEN_EXTRAVERSION_LEN";
    /// Bytes of the capabilities, NUL included.
    pub const CAPABILITIES_LEN: usize = 1024, "XEN_CAPABILITIES_INFO_LEN";
    /// Bytes of the changeset, NUL included.
    pub const CHANGESET_LEN: usize = 64, "XEN_CHANGESET_INFO_LEN";
    /// Bytes of the command line, NUL included.
    pub const COMMANDLINE_LEN: usize = 1024, "sizeof(xen_commandline_t)";
    /// Bytes of a domain's UUID.
    pub const DOMAIN_HANDLE_LEN: usize = 16, "sizeof(xen_domain_handle_t)";
}

/// The interface version whose layouts this crate states.
pub const INTERFACE_VERSION: u32 = 0x0004_0E00;

wire! {
    /// Result of extraversion.
    pub struct ExtraVersion = "xen_extraversion_t", 16 {
        /// NUL-terminated text.
        pub text: [u8; 16] = "",
    }

    /// Result of compile_info.
    pub struct CompileInfo = "struct xen_compile_info", 144 {
        /// NUL-terminated text.
        pub compiler: [u8; 64] = "compiler",
        /// NUL-terminated text.
        pub compile_by: [u8; 16] = "compile_by",
        /// NUL-terminated text.
        pub compile_domain: [u8; 32] = "compile_domain",
        /// NUL-terminated text.
        pub compile_date: [u8; 32] = "compile_date",
    }

    /// Result of capabilities.
    pub struct Capabilities = "xen_capabilities_info_t", 1024 {
        /// NUL-terminated text.
        pub text: [u8; 1024] = "",
    }

    /// Result of changeset.
    pub struct Changeset = "xen_changeset_info_t", 64 {
        /// NUL-terminated text.
        pub text: [u8; 64] = "",
    }

    /// Result of commandline.
    pub struct CommandLine = "xen_commandline_t", 1024 {
        /// NUL-terminated text.
        pub text: [u8; 1024] = "",
    }

    /// Result of guest_handle: the domain's UUID.
    pub struct DomainHandle = "xen_domain_handle_t", 16 {
        /// The UUID.
        pub bytes: [u8; 16] = "",
    }

    /// Result of platform_parameters.
    pub struct PlatformParameters = "struct xen_platform_parameters", 8 {
        /// Lowest address of Xen's range.
        pub virt_start: u64 = "virt_start",
    }

    /// Argument and result of get_features.
    pub struct FeatureInfo = "struct xen_feature_info", 8 {
        /// Which 32 features; only 0 exists.
        pub submap_index: u32 = "submap_idx",
        /// Out: bit per [`crate::features::Feature`].
        pub submap: u32 = "submap",
    }

    /// Head of build_id and of the `*2` operations; the bytes follow.
    pub struct BuildId = "struct xen_build_id", 4 {
        /// In: room, out: bytes there are.
        pub len: u32 = "len",
    }
}
