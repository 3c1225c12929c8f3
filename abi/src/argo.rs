//! argo_op, an option of Xen that is not built in: `ENOSYS`. Source: Xen public header `argo.h`.

use crate::layout::numbers;

numbers! {
    /// Sub-operation of argo_op.
    pub struct ArgoOperation(u32) {
        REGISTER_RING = 1, "XEN_ARGO_OP_register_ring";
        UNREGISTER_RING = 2, "XEN_ARGO_OP_unregister_ring";
        SENDV = 3, "XEN_ARGO_OP_sendv";
        NOTIFY = 4, "XEN_ARGO_OP_notify";
    }
}
