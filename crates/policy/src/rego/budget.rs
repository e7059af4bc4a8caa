//! Budgets: how much one evaluation may do, counted in steps and not in time.
//!
//! The interpreter asks a time source, every few units of work, whether its time is up. The one that it gets here is no
//! clock: it counts how often it is asked. So the same module on the same input stops at the same point on every machine
//! and in every build, and a decision comes out again as it did (`docs/adr/0012-rego.md`).

use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use regorus::utils::limits::{ExecutionTimerConfig, TimeSource, monotonic_now, set_time_source};
use regorus::{LimitError, Value};

/// How many steps one evaluation may take: sized to stay below 50 ms and, with what a step can allocate, 64 MiB.
pub(super) const STEPS: u64 = 500_000;
/// The most that one call of a built-in function may be given, or give back, in bytes.
pub(super) const CALL_BYTES: u64 = 4 * 1024 * 1024;
/// The longest input in bytes of JSON.
pub(super) const INPUT_BYTES: usize = 4 * 1024 * 1024;
/// The longest range of numbers.
pub(super) const RANGE_NUMBERS: u64 = 10_000;

/// What a value costs beside its text.
const NODE_BYTES: u64 = 16;
/// How many bytes, looked at or made by a built-in function, are one step.
const BYTES_PER_STEP: u64 = 16;
/// The longest text that is read as a number; beyond it, reading takes time out of proportion.
const DIGITS: u64 = 64;
/// The widest field of `sprintf`, in digits of its width.
const WIDTH_DIGITS: usize = 3;

/// How many units of work the interpreter does between two questions. Each question is charged as that many steps.
const INTERVAL: NonZeroU32 = match NonZeroU32::new(16) {
    Some(interval) => interval,
    None => NonZeroU32::MIN,
};

/// What an evaluation had too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// Steps.
    Steps,
    /// Bytes in one call of a built-in function.
    Size,
    /// Patience: whoever waits for it gave up.
    Patience,
}

impl Exceeded {
    /// What it had too much of, as a sentence says it.
    pub(super) fn text(self) -> String {
        match self {
            Self::Steps => format!("took more than {STEPS} steps"),
            Self::Size => format!(
                "a call takes or makes more than {CALL_BYTES} bytes, {RANGE_NUMBERS} numbers or {DIGITS} digits"
            ),
            Self::Patience => "did not come back in time".to_owned(),
        }
    }
}

/// What a call of a built-in function costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// Next to nothing, whatever it is given.
    Constant,
    /// The characters of its first argument, where that is a text.
    Text,
    /// What it is given, once.
    Linear,
    /// A value for each character that it is given.
    Split,
    /// Every part of one argument with every part of the next.
    Product,
    /// `concat`: the texts, and the delimiter between them.
    Join,
    /// `replace`: as often the new text as the old one may occur.
    Replace,
    /// `sprintf`: what it is given, and the bounded width of each field.
    Format,
    /// `numbers.range`: every number between two.
    Range,
    /// `to_number`: a text of bounded length.
    Digits,
    /// `product`: numbers that get longer as they are multiplied.
    Square,
}

/// The meter of one thread, which evaluates one question at a time.
struct Meter {
    running: Cell<bool>,
    left: Cell<u64>,
    exceeded: Cell<Option<Exceeded>>,
    stop: RefCell<Option<Arc<AtomicBool>>>,
}

thread_local! {
    static METER: Meter = const {
        Meter { running: Cell::new(false), left: Cell::new(0), exceeded: Cell::new(None), stop: RefCell::new(None) }
    };
}

impl Meter {
    fn charge(&self, steps: u64) {
        if self.exceeded.get().is_some() {
            return;
        }
        match self.left.get().checked_sub(steps) {
            Some(left) => self.left.set(left),
            None => self.exceeded.set(Some(Exceeded::Steps)),
        }
        if self.stop.borrow().as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            self.exceeded.set(Some(Exceeded::Patience));
        }
    }
}

/// The time source that counts. Off an evaluation it knows no time.
struct Steps;

impl TimeSource for Steps {
    fn now(&self) -> Option<Duration> {
        METER.with(|meter| {
            if !meter.running.get() {
                return None;
            }
            meter.charge(u64::from(INTERVAL.get()));
            Some(if meter.exceeded.get().is_some() { Duration::MAX } else { Duration::ZERO })
        })
    }
}

static SOURCE: Steps = Steps;

/// The timer that makes the interpreter ask.
pub(super) fn timer() -> ExecutionTimerConfig {
    ExecutionTimerConfig { limit: Duration::from_secs(1), check_interval: INTERVAL }
}

/// Begins an evaluation on this thread with a whole budget; `stop` ends it early.
///
/// Gives back whether the interpreter asks this time source at all: without it nothing would ever stop.
pub(super) fn begin(stop: &Arc<AtomicBool>) -> bool {
    // The first one to register stays; a second registration of the same one is refused, and changes nothing.
    let _ = set_time_source(&SOURCE);
    METER.with(|meter| {
        meter.running.set(true);
        meter.exceeded.set(None);
        meter.left.set(STEPS);
        *meter.stop.borrow_mut() = Some(Arc::clone(stop));
    });
    let before = left();
    let _ = monotonic_now();
    let counts = left() < before;
    METER.with(|meter| meter.left.set(STEPS));
    counts
}

/// Ends an evaluation on this thread, and says what it had too much of.
pub(super) fn end() -> Option<Exceeded> {
    METER.with(|meter| {
        meter.running.set(false);
        *meter.stop.borrow_mut() = None;
        meter.exceeded.get()
    })
}

/// How many steps are left on this thread.
pub(super) fn left() -> u64 {
    METER.with(|meter| meter.left.get())
}

/// Charges a call of a built-in function before it is made.
///
/// # Errors
/// When the budget does not reach for it; the evaluation then ends, whatever becomes of this error.
pub(super) fn admit(cost: Cost, arguments: &[Value]) -> Result<(), LimitError> {
    let bytes = bytes_of(cost, arguments);
    METER.with(|meter| match bytes.filter(|bytes| *bytes <= CALL_BYTES) {
        Some(bytes) => meter.charge(bytes.div_ceil(BYTES_PER_STEP)),
        None => {
            if meter.exceeded.get().is_none() {
                meter.exceeded.set(Some(Exceeded::Size));
            }
        }
    });
    match METER.with(|meter| meter.exceeded.get()) {
        None => Ok(()),
        Some(_) => Err(LimitError::MemoryLimitExceeded { usage: bytes.unwrap_or(u64::MAX), limit: CALL_BYTES }),
    }
}

/// How many bytes a call looks at or makes at most; `None` when it must not be made.
fn bytes_of(cost: Cost, arguments: &[Value]) -> Option<u64> {
    let given = if matches!(cost, Cost::Constant | Cost::Text) { 0 } else { size_of(arguments) };
    let text = |position: usize| match arguments.get(position) {
        Some(Value::String(text)) => length(text.len()),
        _ => 0,
    };
    match cost {
        Cost::Constant => Some(0),
        Cost::Text => Some(text(0)),
        Cost::Linear => Some(given),
        Cost::Split => Some(given.saturating_mul(BYTES_PER_STEP)),
        Cost::Product => {
            let product = arguments.iter().map(|value| size_of(std::slice::from_ref(value)));
            Some(product.fold(1u64, u64::saturating_mul))
        }
        Cost::Join => {
            let parts = match arguments.get(1) {
                Some(Value::Array(items)) => length(items.len()),
                Some(Value::Set(items)) => length(items.len()),
                _ => 0,
            };
            Some(given.saturating_add(parts.saturating_mul(text(0))))
        }
        Cost::Replace => {
            let times = text(0).checked_div(text(1)).unwrap_or(text(0)).saturating_add(1);
            Some(given.saturating_add(times.saturating_mul(text(2))))
        }
        Cost::Format => match arguments.first() {
            Some(Value::String(format)) => Some(given.saturating_add(widths(format)?)),
            _ => Some(given),
        },
        Cost::Range => {
            let [Value::Number(from), Value::Number(to)] = arguments else { return Some(given) };
            let numbers = from.as_i64()?.abs_diff(to.as_i64()?).saturating_add(1);
            (numbers <= RANGE_NUMBERS).then(|| numbers.saturating_mul(BYTES_PER_STEP))
        }
        Cost::Digits => (text(0) <= DIGITS).then_some(given),
        Cost::Square => Some(given.saturating_mul(given) / NODE_BYTES),
    }
}

/// The size of values with everything in them, every time that it is in them; counting stops beyond [`CALL_BYTES`].
fn size_of(values: &[Value]) -> u64 {
    let mut waiting: Vec<&Value> = values.iter().collect();
    let mut size: u64 = 0;
    while let Some(value) = waiting.pop() {
        size = size.saturating_add(NODE_BYTES);
        match value {
            Value::String(text) => size = size.saturating_add(length(text.len())),
            Value::Number(number) => {
                if number.as_i128().is_none() {
                    size = size.saturating_add(number.as_big().map_or(0, |number| number.bits() / 8));
                }
            }
            Value::Array(items) => waiting.extend(items.iter()),
            Value::Set(items) => waiting.extend(items.iter()),
            Value::Object(fields) => {
                for (key, value) in fields.iter() {
                    waiting.push(key);
                    waiting.push(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Undefined => {}
        }
        if size > CALL_BYTES {
            break;
        }
    }
    size
}

/// How many characters the fields of a format of `sprintf` are filled up to, at most; `None` where one takes more than
/// three digits.
fn widths(format: &str) -> Option<u64> {
    // The digits of the field that is read, and what they say.
    let mut field: Option<(usize, u64)> = None;
    let mut sum: u64 = 0;
    for character in format.chars() {
        field = match field {
            None if character == '%' => Some((0, 0)),
            Some((digits, width)) if character == '.' || character.is_numeric() => {
                let width = character.to_digit(10).map_or(width, |digit| width.saturating_mul(10) + u64::from(digit));
                if digits >= WIDTH_DIGITS {
                    return None;
                }
                Some((digits + 1, width))
            }
            Some((_, width)) => {
                sum = sum.saturating_add(width);
                None
            }
            None => None,
        };
    }
    Some(sum)
}

fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        Value::from_json_str(json).unwrap()
    }

    #[test]
    fn calls_cost_what_they_may_look_at_or_make() {
        let check = |cost: Cost, arguments: &[&str], expected: Option<u64>| {
            let arguments: Vec<Value> = arguments.iter().map(|json| value(json)).collect();
            assert_eq!(bytes_of(cost, &arguments), expected, "{cost:?} {arguments:?}");
        };
        check(Cost::Constant, &["[1, 2, 3]"], Some(0));
        check(Cost::Text, &["[1, 2, 3]"], Some(0));
        check(Cost::Text, &["\"abc\""], Some(3));
        check(Cost::Linear, &["\"abcd\""], Some(20));
        check(Cost::Linear, &["[\"abcd\", {\"a\": null}]"], Some(16 + 20 + 16 + 17 + 16));
        check(Cost::Split, &["\"abcd\"", "\"\""], Some((20 + 16) * 16));
        check(Cost::Product, &["\"abcd\"", "\"ab\""], Some(20 * 18));
        check(Cost::Join, &["\"--\"", "[\"a\", \"b\"]"], Some(18 + 16 + 17 + 17 + 4));
        check(Cost::Replace, &["\"aaaa\"", "\"\"", "\"xyz\""], Some(20 + 16 + 19 + 5 * 3));
        check(Cost::Replace, &["\"aaaa\"", "\"aa\"", "\"xyz\""], Some(20 + 18 + 19 + 3 * 3));
        check(Cost::Format, &["\"%d of %03d\"", "[1, 2]"], Some(26 + 48 + 3));
        check(Cost::Format, &["\"%999d%999d\"", "[1, 2]"], Some(26 + 48 + 2 * 999));
        check(Cost::Format, &["\"20260 %%20260\"", "[]"], Some(13 + 16 + 16));
        check(Cost::Format, &["\"%09999d\"", "[1]"], None);
        check(Cost::Range, &["1", "10"], Some(160));
        check(Cost::Range, &["10", "-9999999999"], None);
        check(Cost::Range, &["1", "1180591620717411303424"], None);
        check(Cost::Range, &["1", "\"x\""], Some(16 + 17));
        check(Cost::Digits, &["\"12\""], Some(18));
        check(Cost::Digits, &[&format!("\"{}\"", "1".repeat(65))], None);
    }

    #[test]
    fn a_call_beyond_the_budget_ends_the_evaluation() {
        let stop = Arc::new(AtomicBool::new(false));
        assert!(begin(&stop), "the interpreter asks another time source");
        assert!(admit(Cost::Linear, &[value("[1, 2]")]).is_ok());
        assert_eq!(left(), STEPS - 3);
        assert!(admit(Cost::Range, &[value("1"), value("999999")]).is_err());
        assert!(admit(Cost::Constant, &[]).is_err(), "nothing more is done");
        assert_eq!(SOURCE.now(), Some(Duration::MAX));
        assert_eq!(end(), Some(Exceeded::Size));
        assert_eq!(SOURCE.now(), None);

        assert!(begin(&stop));
        let steps = STEPS / u64::from(INTERVAL.get());
        for _ in 0..steps {
            assert_eq!(SOURCE.now(), Some(Duration::ZERO));
        }
        assert_eq!(SOURCE.now(), Some(Duration::MAX));
        assert_eq!(end(), Some(Exceeded::Steps));

        assert!(begin(&stop));
        stop.store(true, Ordering::Relaxed);
        assert_eq!(SOURCE.now(), Some(Duration::MAX));
        assert_eq!(end(), Some(Exceeded::Patience));
    }
}
