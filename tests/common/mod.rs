//! Drives the real binaries: the table of all tools, input in every appearance, and runs.

pub mod commands;
pub mod input;
pub mod run;
pub mod tools;

pub use input::{Codec, Sample, TRNA};
pub use run::Run;
pub use tools::{Format, Header, TOOLS, Tool};

/// Calls `check` for every tool that is ready and every format it writes.
pub fn for_each_format(check: impl Fn(&Tool, &Format)) {
    for tool in TOOLS.iter().filter(|tool| tool.ready) {
        for format in tool.formats {
            check(tool, format);
        }
    }
}
