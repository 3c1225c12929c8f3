//! xsm_op (FLASK), which is not built in: `ENOSYS`. Source: Xen public header `xsm/flask_op.h`.

use crate::layout::{constants, numbers};

numbers! {
    /// Sub-operation of xsm_op.
    pub struct FlaskOperation(u32) {
        LOAD = 1, "FLASK_LOAD";
        GETENFORCE = 2, "FLASK_GETENFORCE";
        SETENFORCE = 3, "FLASK_SETENFORCE";
        CONTEXT_TO_SID = 4, "FLASK_CONTEXT_TO_SID";
        SID_TO_CONTEXT = 5, "FLASK_SID_TO_CONTEXT";
        ACCESS = 6, "FLASK_ACCESS";
        CREATE = 7, "FLASK_CREATE";
        RELABEL = 8, "FLASK_RELABEL";
        USER = 9, "FLASK_USER";
        POLICYVERS = 10, "FLASK_POLICYVERS";
        GETBOOL = 11, "FLASK_GETBOOL";
        SETBOOL = 12, "FLASK_SETBOOL";
        COMMITBOOLS = 13, "FLASK_COMMITBOOLS";
        MLS = 14, "FLASK_MLS";
        DISABLE = 15, "FLASK_DISABLE";
        GETAVC_THRESHOLD = 16, "FLASK_GETAVC_THRESHOLD";
        SETAVC_THRESHOLD = 17, "FLASK_SETAVC_THRESHOLD";
        AVC_HASHSTATS = 18, "FLASK_AVC_HASHSTATS";
        AVC_CACHESTATS = 19, "FLASK_AVC_CACHESTATS";
        MEMBER = 20, "FLASK_MEMBER";
        ADD_OCONTEXT = 21, "FLASK_ADD_OCONTEXT";
        DEL_OCONTEXT = 22, "FLASK_DEL_OCONTEXT";
        GET_PEER_SID = 23, "FLASK_GET_PEER_SID";
        RELABEL_DOMAIN = 24, "FLASK_RELABEL_DOMAIN";
        DEVICETREE_LABEL = 25, "FLASK_DEVICETREE_LABEL";
    }
}

constants! {
    /// What every request carries.
    pub const FLASK_INTERFACE_VERSION: u32 = 1, "XEN_FLASK_INTERFACE_VERSION";
}
