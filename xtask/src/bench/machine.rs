//! The machine: what figures cannot be read without.

use std::fs;
use std::num::NonZero;

use crate::failure::Result;
use crate::workspace;

/// How many cores there are.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Processor, memory, kernel and compiler, one a line.
///
/// # Errors
/// When the compiler does not say its version.
pub fn facts() -> Result<Vec<String>> {
    let compiler = workspace::output("rustc", &["--version"])?;
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Ok(vec![
        format!("{} cores of {processor}", cores()),
        format!("memory: {memory}"),
        format!("Linux {}", kernel.trim()),
        String::from_utf8_lossy(&compiler).trim().to_owned(),
    ])
}

/// The value after `name` and a colon.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    value.map(|value| value.trim().to_owned())
}
