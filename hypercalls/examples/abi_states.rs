//! Prints what each operation does here, from the rows beside the code, for `cargo run -p xtask -- abi-status`.
//!
//! One line an operation: hypercall, sub-operation, `works` or `absent` or `missing`, and why. A new family adds its rows
//! to [`FAMILIES`]; what no row speaks for, the status page calls missing.
#![forbid(unsafe_code)]

use abi::{Call, operations::GROUPS};
use hypercalls::{
    dispatch,
    op::{
        absent, console, cpu, domctl, event, grant, hypfs, machine_check, memory, mmu, physdev, platform, sched,
        sysctl, vcpu, version,
    },
    table::{Row, State},
};

/// The families and their rows.
const FAMILIES: &[(Call, &[Row])] = &[
    (Call::MMU_UPDATE, mmu::UPDATE_ROWS),
    (Call::MMUEXT_OP, mmu::EXTENDED_ROWS),
    (Call::EVENT_CHANNEL_OP, event::ROWS),
    (Call::GRANT_TABLE_OP, grant::ROWS),
    (Call::PLATFORM_OP, platform::ROWS),
    (Call::MEMORY_OP, memory::ROWS),
    (Call::XEN_VERSION, version::ROWS),
    (Call::CONSOLE_IO, console::ROWS),
    (Call::CALLBACK_OP, cpu::CALLBACK_ROWS),
    (Call::NMI_OP, cpu::NMI_ROWS),
    (Call::VM_ASSIST, cpu::ASSIST_ROWS),
    (Call::SET_SEGMENT_BASE, cpu::SEGMENT_ROWS),
    (Call::VCPU_OP, vcpu::ROWS),
    (Call::SCHED_OP, sched::ROWS),
    (Call::PHYSDEV_OP, physdev::ROWS),
    (Call::DOMCTL, domctl::ROWS),
    (Call::HYPFS_OP, hypfs::ROWS),
    (Call::SYSCTL, sysctl::ROWS),
    (Call::MCA, machine_check::ROWS),
];

fn main() {
    for row in dispatch::ROWS {
        report(Call(row.number), "-", row.state);
    }
    for (call, rows) in FAMILIES {
        for row in *rows {
            report(*call, &row.number.to_string(), row.state);
        }
    }
    for (call, state) in absent::FAMILIES {
        for group in GROUPS.iter().copied().flatten().filter(|group| group.call == *call) {
            for operation in group.operations {
                report(*call, &operation.number.to_string(), *state);
            }
        }
    }
}

fn report(call: Call, operation: &str, state: State) {
    let (state, why) = match state {
        State::Works(how) => ("works", how),
        State::Absent(why) => ("absent", why),
        State::Missing(why) => ("missing", why),
    };
    println!("{} {operation} {state} {why}", call.0);
}
