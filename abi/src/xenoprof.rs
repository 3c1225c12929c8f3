//! xenoprof_op, an option of Xen that is not built in: `ENOSYS`. Source: Xen public header `xenoprof.h`.

use crate::layout::numbers;

numbers! {
    /// Sub-operation of xenoprof_op.
    pub struct XenoprofOperation(u32) {
        INIT = 0, "XENOPROF_init";
        RESET_ACTIVE_LIST = 1, "XENOPROF_reset_active_list";
        RESET_PASSIVE_LIST = 2, "XENOPROF_reset_passive_list";
        SET_ACTIVE = 3, "XENOPROF_set_active";
        SET_PASSIVE = 4, "XENOPROF_set_passive";
        RESERVE_COUNTERS = 5, "XENOPROF_reserve_counters";
        COUNTER = 6, "XENOPROF_counter";
        SETUP_EVENTS = 7, "XENOPROF_setup_events";
        ENABLE_VIRQ = 8, "XENOPROF_enable_virq";
        START = 9, "XENOPROF_start";
        STOP = 10, "XENOPROF_stop";
        DISABLE_VIRQ = 11, "XENOPROF_disable_virq";
        RELEASE_COUNTERS = 12, "XENOPROF_release_counters";
        SHUTDOWN = 13, "XENOPROF_shutdown";
        GET_BUFFER = 14, "XENOPROF_get_buffer";
        SET_BACKTRACE = 15, "XENOPROF_set_backtrace";
        GET_IBS_CAPS = 16, "XENOPROF_get_ibs_caps";
        IBS_COUNTER = 17, "XENOPROF_ibs_counter";
    }
}
