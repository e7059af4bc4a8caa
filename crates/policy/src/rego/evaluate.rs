//! Evaluation: modules on facts, on threads of their own, within a budget.
//!
//! A thread has a stack that no module of the allowed size uses up, and what panics there is an answer like any other
//! error. What the budget cannot stop, because one step of the interpreter takes too long, ends by patience. Each question
//! is answered with a whole budget and on the same input, so that nobody can tell which thread answered it.

use std::collections::BTreeMap;
use std::io;
use std::mem::{ManuallyDrop, replace, take};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use regorus::{Engine, Value};

use super::budget;
use super::verdict::{self, Answer};
use super::{STACK_BYTES, THREAD, allowed, place};

/// How many threads answer the questions of one decision at most.
const THREADS: usize = 2;
/// How many questions are worth a thread: to begin one takes about as long as to answer so many short ones.
const QUESTIONS_A_THREAD: usize = 3;

/// After how long whoever waits looks, and gives up when no answer has come since: two hundred times what the budget is
/// sized for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A rule to evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// Its full path, such as `data.lockgate.deny`.
    pub(crate) rule: String,
    /// What it sees as `input.parameters`: an object in JSON.
    pub(crate) parameters: String,
}

/// Answers on their way, from threads of their own.
#[derive(Debug)]
pub(super) struct Pending {
    asked: usize,
    coming: Result<Arc<Exchange>, Answer>,
}

/// What whoever asks and whoever answers tell each other.
#[derive(Debug, Default)]
struct Exchange {
    progress: Mutex<Progress>,
    /// Tells that nothing more comes. A single answer is not told: waking somebody takes longer than many of them.
    ended: Condvar,
    /// Ends what is being evaluated.
    stop: Arc<AtomicBool>,
}

/// How far the answers have come.
#[derive(Debug, Default)]
struct Progress {
    /// How many questions a thread has taken.
    taken: usize,
    /// With the places of their questions.
    answers: BTreeMap<usize, Answer>,
    /// How many threads are not at their end.
    working: usize,
}

impl Exchange {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next of so many questions, for one thread alone; none where nobody waits any more.
    fn take(&self, asked: usize) -> Option<usize> {
        let mut progress = self.progress();
        let next = progress.taken;
        if next >= asked || self.stop.load(Ordering::Relaxed) {
            return None;
        }
        progress.taken = next.saturating_add(1);
        Some(next)
    }

    /// Waits until nothing more comes, or the next answer takes too long; gives what has come, and what stands for the rest.
    fn wait(&self) -> (BTreeMap<usize, Answer>, Answer) {
        let mut progress = self.progress();
        while progress.working > 0 {
            let known = progress.answers.len();
            let waited = self.ended.wait_timeout_while(progress, PATIENCE, |progress| progress.working > 0);
            let (since, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            progress = since;
            if timeout.timed_out() && progress.answers.len() == known {
                self.stop.store(true, Ordering::Relaxed);
                let rest = Answer::Exhausted { place: None, message: budget::Exceeded::Patience.text() };
                return (take(&mut progress.answers), rest);
            }
        }
        (take(&mut progress.answers), failed("the evaluation broke off".to_owned()))
    }
}

impl Pending {
    /// The same answer to every question, without asking.
    pub(super) fn all(asked: usize, answer: Answer) -> Self {
        Self { asked, coming: Err(answer) }
    }

    /// Waits for every answer, in the order of the questions.
    pub(super) fn answers(self) -> Vec<Answer> {
        let (mut answers, rest) = match &self.coming {
            Ok(exchange) => exchange.wait(),
            Err(answer) => (BTreeMap::new(), answer.clone()),
        };
        (0..self.asked).map(|place| answers.remove(&place).unwrap_or_else(|| rest.clone())).collect()
    }
}

impl Drop for Pending {
    /// Nobody waits any more; where every answer has come, nothing is left to stop.
    fn drop(&mut self) {
        if let Ok(exchange) = &self.coming {
            exchange.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Begins to answer every question on one input, an object, which is made while the threads get ready; where there is
/// none, the same answer stands for all.
pub(super) fn ask(
    modules: &Arc<Prepared>,
    questions: Vec<Question>,
    input: impl FnOnce() -> Result<Value, Answer>,
) -> Pending {
    let asked = questions.len();
    let (exchange, questions) = (Arc::new(Exchange::default()), Arc::new(questions));
    let mut givers = Vec::new();
    let mut begun = Ok(());
    for _ in 0..asked.div_ceil(QUESTIONS_A_THREAD).min(THREADS) {
        let (modules, questions) = (Arc::clone(modules), Arc::clone(&questions));
        let (give, given) = channel::<Value>();
        let work = Work::on(&exchange);
        begun = on_a_thread(move || answer_all(&modules, &questions, || given.recv().ok(), work));
        if begun.is_err() {
            break;
        }
        givers.push(give);
    }
    // One thread answers everything, if it has to.
    if let (Err(error), true) = (begun, givers.is_empty()) {
        return Pending::all(asked, failed(format!("no thread to evaluate on: {error}")));
    }
    match input() {
        Ok(input) => {
            for give in givers {
                // A thread that is gone gives no answers, which is told where they are waited for.
                let _ = give.send(input.clone());
            }
            Pending { asked, coming: Ok(exchange) }
        }
        Err(answer) => Pending::all(asked, answer),
    }
}

fn on_a_thread(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Builder::new().name(THREAD.to_owned()).stack_size(STACK_BYTES).spawn(work).map(drop)
}

/// A thread's part in an exchange; tells whoever waits when no thread is left, however this one ends.
struct Work(Arc<Exchange>);

impl Work {
    fn on(exchange: &Arc<Exchange>) -> Self {
        let mut progress = exchange.progress();
        progress.working = progress.working.saturating_add(1);
        drop(progress);
        Self(Arc::clone(exchange))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut progress = self.0.progress();
        progress.working = progress.working.saturating_sub(1);
        if progress.working == 0 {
            self.0.ended.notify_one();
        }
    }
}

/// Answers one question after another, until all are taken or nobody waits for answers any more.
fn answer_all(modules: &Prepared, questions: &[Question], input: impl FnOnce() -> Option<Value>, work: Work) {
    let exchange = &work.0;
    // Copied before the input is waited for; where that fails, each question fails with the reason.
    let copied = catch_unwind(AssertUnwindSafe(|| modules.engine().ok()));
    let mut ready: Option<Engine> = copied.ok().flatten();
    let Some(input) = input() else { return };
    while let Some(place) = exchange.take(questions.len()) {
        let Some(question) = questions.get(place) else { return };
        let taken = ready.take();
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let mut engine = match taken {
                Some(ready) => ready,
                None => modules.engine()?,
            };
            let answer = answer(&mut engine, &input, question, &exchange.stop);
            Ok::<_, String>((answer, engine))
        }));
        let answer = match attempt {
            Ok(Ok((answer, again))) => {
                // An engine that broke off in the middle may remember where; another question begins with a new one.
                let is_whole = !matches!(answer, Answer::Failed { .. } | Answer::Exhausted { .. });
                ready = is_whole.then_some(again);
                answer
            }
            Ok(Err(message)) => failed(message),
            Err(_) => {
                // A panic leaves the meter of this thread running.
                let _ = budget::end();
                failed("the interpreter broke off: a built-in function cannot deal with what it was given".to_owned())
            }
        };
        exchange.progress().answers.insert(place, answer);
    }
    // Before the input and the engine: nobody waits for their memory to be given back.
    drop(work);
}

/// An engine with every module and every charge, which has seen no input; every decision begins with a copy of it.
#[derive(Debug)]
pub(super) struct Prepared(Result<Engine, String>);

impl Prepared {
    /// Reads every module; needs the stack of a thread for modules.
    pub(super) fn new(files: &BTreeMap<String, String>) -> Self {
        Self(prepare(files))
    }

    /// A copy of the engine.
    pub(super) fn engine(&self) -> Result<Engine, String> {
        self.0.clone()
    }
}

impl Drop for Prepared {
    /// Lets go of the modules on a thread for modules: a chain of operators is as deep as it is long, whoever drops it.
    fn drop(&mut self) {
        let modules = ManuallyDrop::new(replace(&mut self.0, Err(String::new())));
        // Without a thread they stay in memory: a stack that is too short would end the process.
        let _ = Builder::new()
            .name(THREAD.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || drop(ManuallyDrop::into_inner(modules)));
    }
}

fn prepare(files: &BTreeMap<String, String>) -> Result<Engine, String> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    engine.set_execution_timer_config(budget::timer());
    allowed::install(&mut engine)?;
    for (path, text) in files {
        engine.add_policy(path.clone(), text.clone()).map_err(|error| place::split(&error.to_string()).1)?;
    }
    // Analyses the modules, which copies of the engine need not do again. What cannot be analysed gives its error, with
    // its place, to whoever asks for a rule; so does the rule asked for here, which no module has.
    let _ = engine.compile_with_entrypoint(&"data.lockgate".into());
    Ok(engine)
}

/// Answers one question with a whole budget.
pub(super) fn answer(engine: &mut Engine, input: &Value, question: &Question, stop: &Arc<AtomicBool>) -> Answer {
    let parameters = match Value::from_json_str(&question.parameters) {
        Ok(parameters) => parameters,
        Err(error) => return failed(format!("the parameters do not read: {error}")),
    };
    let mut input = input.clone();
    match input.as_object_mut() {
        Ok(fields) => fields.insert(Value::from("parameters"), parameters),
        Err(error) => return failed(error.to_string()),
    };
    engine.set_input(input);
    if !budget::begin(stop) {
        return failed("the budget cannot be kept: the interpreter asks another time source".to_owned());
    }
    let result = engine.eval_rule(question.rule.clone());
    let exceeded = budget::end();
    match (exceeded, result) {
        // INVARIANT (a spent budget denies): whatever the interpreter made of it, nothing that ran out passes.
        (Some(exceeded), result) => {
            let place = result.err().and_then(|error| place::split(&error.to_string()).0);
            Answer::Exhausted { place, message: exceeded.text() }
        }
        (None, Ok(value)) => verdict::read(&value),
        (None, Err(error)) => {
            let (place, message) = place::split(&error.to_string());
            Answer::Failed { place, message }
        }
    }
}

fn failed(message: String) -> Answer {
    Answer::Failed { place: None, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_answered_has_failed() {
        let exchange = Arc::new(Exchange::default());
        let works = [Work::on(&exchange), Work::on(&exchange)];
        let pending = Pending { asked: 3, coming: Ok(Arc::clone(&exchange)) };
        let waiting = std::thread::spawn(|| pending.answers());
        exchange.progress().answers.insert(1, Answer::Denials(Vec::new()));
        drop(works);
        let broken = failed("the evaluation broke off".to_owned());
        assert_eq!(waiting.join().unwrap(), [broken.clone(), Answer::Denials(Vec::new()), broken]);
        let refused = failed("no input".to_owned());
        assert_eq!(Pending::all(2, refused.clone()).answers(), [refused.clone(), refused]);
    }

    #[test]
    fn each_question_is_taken_once_and_none_when_nobody_waits() {
        let exchange = Exchange::default();
        let taken: Vec<_> = (0..4).map(|_| exchange.take(3)).collect();
        assert_eq!(taken, [Some(0), Some(1), Some(2), None]);
        exchange.stop.store(true, Ordering::Relaxed);
        assert_eq!(exchange.take(9), None);
    }

    #[test]
    fn whoever_goes_away_stops_the_evaluation() {
        let exchange = Arc::new(Exchange::default());
        drop(Pending { asked: 1, coming: Ok(Arc::clone(&exchange)) });
        assert!(exchange.stop.load(Ordering::Relaxed));
    }
}
