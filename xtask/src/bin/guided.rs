//! One reader of `cargo xtask fuzz --guided`: libFuzzer chooses its inputs by the branches that they take.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use xtask::Guide;

/// libFuzzer calls functions that have no context, so that they have to find the reader here.
static GUIDE: LazyLock<Guide> = LazyLock::new(Guide::from_environment);

fuzz_target!(init: LazyLock::force(&GUIDE), |input: &[u8]| GUIDE.read(input));

// Every other change is made by whoever knows the format, and not by libFuzzer, which knows bytes alone.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    match seed.is_multiple_of(2) {
        true => fuzzer_mutate(data, size, max_size),
        false => GUIDE.change(data, size, max_size, seed),
    }
});
