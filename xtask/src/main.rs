//! `cargo xtask`: the project commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::main()
}
