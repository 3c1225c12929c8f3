//! sysctl: the machine as the toolstack sees it. One family a file.

mod console;
mod machine;
mod offline;
mod parameters;
mod pools;
mod topology;
