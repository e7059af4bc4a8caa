//! Failpoints and planted bugs: named places at which a test build can be killed or made to fail, and deliberate
//! defects that the tests have to catch.
//!
//! Without the feature `faults` every function here is empty, or constantly `false`, and the compiler removes the calls.
//! With it, two variables of the environment say what happens:
//!
//! | variable | meaning |
//! |---|---|
//! | `LOCKGATE_FAULT=<point>:kill@<n>` | the process aborts when it passes the point for the n-th time |
//! | `LOCKGATE_FAULT=<point>:error@<n>` | the step fails when the point is passed for the n-th time, where it can |
//! | `LOCKGATE_FAULT=<...>@<n>/<event>` | either, counted from when this thread has staged an entry with the event |
//! | `LOCKGATE_FAULT=trace` | each pass of each point is written to standard error |
//! | `LOCKGATE_FAULT=list` | every point is printed at the first one, and the process ends |
//! | `LOCKGATE_PLANT=<bug>` | the defect is there |
//!
//! The table is text in comments only: none of these names is in a build without the feature, and a test looks.
//!
//! This is the one place besides the composition root that reads the environment, and the one that keeps what it read
//! for the whole process: unit tests of a room have no composition root that could hand a plan inward, and a parameter
//! for tests in every signature of the kernel would be worse than what it tests. Neither exists without the feature.

#[cfg(not(feature = "faults"))]
mod absent;
#[cfg(feature = "faults")]
mod armed;
mod plants;
mod points;

#[cfg(not(feature = "faults"))]
pub use absent::{fails, planted, point, staged};
#[cfg(feature = "faults")]
pub use armed::{fails, planted, point, staged};
pub use plants::{PLANTS, Plant};
pub use points::{POINTS, Point, When};
