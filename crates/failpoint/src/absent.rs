//! The build without the feature: nothing happens, and nothing is left of the calls.

/// Passes a named place: nothing happens in this build.
#[inline(always)]
pub const fn point(_name: &'static str) {}

/// Passes a named place whose step can be made to fail: it never does in this build.
#[inline(always)]
#[must_use]
pub const fn fails(_name: &'static str) -> bool {
    false
}

/// Tells that an entry is staged: nobody listens in this build.
#[inline(always)]
pub const fn staged(_event: &'static str) {}

/// Whether a deliberate defect is switched on: it never is in this build.
#[inline(always)]
#[must_use]
pub const fn planted(_name: &'static str) -> bool {
    false
}
