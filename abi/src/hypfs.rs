//! hypfs_op. Source: Xen public header `hypfs.h`.

use crate::layout::{constants, numbers, wire};

numbers! {
    /// Sub-operation of hypfs_op.
    pub struct HypfsOperation(u32) {
        GET_VERSION = 0, "XEN_HYPFS_OP_get_version";
        READ = 1, "XEN_HYPFS_OP_read";
        WRITE_CONTENTS = 2, "XEN_HYPFS_OP_write_contents";
    }

    /// Kind of an entry.
    pub struct HypfsType(u8) {
        DIRECTORY = 0, "XEN_HYPFS_TYPE_DIR";
        BLOB = 1, "XEN_HYPFS_TYPE_BLOB";
        STRING = 2, "XEN_HYPFS_TYPE_STRING";
        UNSIGNED = 3, "XEN_HYPFS_TYPE_UINT";
        SIGNED = 4, "XEN_HYPFS_TYPE_INT";
        BOOLEAN = 5, "XEN_HYPFS_TYPE_BOOL";
    }

    /// Encoding of an entry's contents.
    pub struct HypfsEncoding(u8) {
        PLAIN = 0, "XEN_HYPFS_ENC_PLAIN";
        GZIP = 1, "XEN_HYPFS_ENC_GZIP";
    }
}

constants! {
    /// What get_version returns.
    pub const HYPFS_VERSION: u32 = 1, "XEN_HYPFS_VERSION";
    /// Bytes of a path, NUL included.
    pub const HYPFS_MAX_PATH_LEN: usize = 1024, "XEN_HYPFS_MAX_PATHLEN";
}

wire! {
    /// An entry.
    pub struct HypfsEntry = "struct xen_hypfs_direntry", 12 {
        /// Kind.
        pub kind: HypfsType = "type",
        /// Encoding.
        pub encoding: HypfsEncoding = "encoding",
        /// Padding.
        pub reserved: u16 = "pad",
        /// Bytes of the contents.
        pub content_len: u32 = "content_len",
        /// Bytes that can be written, 0 for none.
        pub max_write_len: u32 = "max_write_len",
    }
}
