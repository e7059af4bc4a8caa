//! Evaluation: modules on facts, on a thread of their own, within a budget.
//!
//! The thread has a stack that no module of the allowed size uses up, and what panics there is an answer like any other
//! error. What the budget cannot stop, because one step of the interpreter takes too long, ends by patience.

use std::collections::BTreeMap;
use std::io;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::Duration;

use regorus::{Engine, Value};

use super::budget;
use super::verdict::{self, Answer};
use super::{STACK_BYTES, THREAD, allowed, place};

/// How long one answer may take before nobody waits for it any more: two hundred times what the budget is sized for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A rule to evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// Its full path, such as `data.lockgate.deny`.
    pub(crate) rule: String,
    /// What it sees as `input.parameters`: an object in JSON.
    pub(crate) parameters: String,
}

/// How many threads may answer one decision's questions; each question has a whole budget wherever it is asked.
const THREADS: usize = 2;
/// How many questions have to wait for a second thread to be worth the copy of the input that it needs.
const WORTH_A_THREAD: usize = 4;

/// The questions of one decision, which threads take one after another.
#[derive(Debug)]
struct Questions {
    all: Vec<Question>,
    /// The position of the first that nobody has taken yet; past the end, how often somebody looked in vain.
    next: AtomicUsize,
    /// Ends what is being evaluated.
    stop: Arc<AtomicBool>,
}

impl Questions {
    fn take(&self) -> Option<(usize, &Question)> {
        let position = self.next.fetch_add(1, Ordering::Relaxed);
        Some((position, self.all.get(position)?))
    }

    fn waiting(&self) -> usize {
        self.all.len().saturating_sub(self.next.load(Ordering::Relaxed))
    }
}

/// Answers on their way, from threads of their own.
#[derive(Debug)]
pub(super) struct Pending {
    asked: usize,
    coming: Result<Coming, Answer>,
}

/// The answers of threads, each with the position of its question.
#[derive(Debug)]
struct Coming {
    modules: Arc<Prepared>,
    questions: Arc<Questions>,
    input: Value,
    sender: Sender<(usize, Answer)>,
    receiver: Receiver<(usize, Answer)>,
}

impl Pending {
    /// The same answer to every question, without asking.
    pub(super) fn all(asked: usize, answer: Answer) -> Self {
        Self { asked, coming: Err(answer) }
    }

    /// Waits for every answer, in the order of the questions.
    pub(super) fn answers(self) -> Vec<Answer> {
        match self.coming {
            Ok(coming) => coming.answers(self.asked),
            Err(answer) => vec![answer; self.asked],
        }
    }
}

impl Coming {
    /// Whoever waits leaves a processor free: a second thread takes it when enough is left to do.
    fn answers(self, asked: usize) -> Vec<Answer> {
        let Self { modules, questions, input, sender, receiver } = self;
        if questions.waiting() >= WORTH_A_THREAD {
            let theirs = Arc::clone(&questions);
            // Where there is no second thread, the first one answers everything.
            let _ = on_a_thread(move || {
                // Threads that count references to the same values wait for each other more than they gain.
                let own = move || Some(copy_of(&input));
                answer_all(&modules, 1, own, &theirs, &sender);
            });
        } else {
            drop((input, sender));
        }
        let mut answers: BTreeMap<usize, Answer> = BTreeMap::new();
        let rest = loop {
            if answers.len() >= asked {
                break failed("there is no such question".to_owned());
            }
            match receiver.recv_timeout(PATIENCE) {
                Ok((position, answer)) => {
                    answers.insert(position, answer);
                }
                Err(RecvTimeoutError::Disconnected) => break failed("the evaluation broke off".to_owned()),
                Err(RecvTimeoutError::Timeout) => {
                    questions.stop.store(true, Ordering::Relaxed);
                    break Answer::Exhausted { place: None, message: budget::Exceeded::Patience.text() };
                }
            }
        };
        (0..asked).map(|position| answers.remove(&position).unwrap_or_else(|| rest.clone())).collect()
    }
}

/// Begins to answer every question on one input, an object, which is made while the thread gets ready; where there is
/// none, the same answer stands for all.
pub(super) fn ask(
    modules: &Arc<Prepared>,
    questions: Vec<Question>,
    input: impl FnOnce() -> Result<Value, Answer>,
) -> Pending {
    let asked = questions.len();
    let stop = Arc::new(AtomicBool::new(false));
    let questions = Arc::new(Questions { all: questions, next: AtomicUsize::new(0), stop });
    let (sender, receiver) = channel();
    let (own, theirs, answers) = (Arc::clone(modules), Arc::clone(&questions), sender.clone());
    let (give, given) = channel::<Value>();
    let begun = on_a_thread(move || answer_all(&own, 0, || given.recv().ok(), &theirs, &answers));
    if let Err(error) = begun {
        return Pending::all(asked, failed(format!("no thread to evaluate on: {error}")));
    }
    match input() {
        Ok(input) => {
            // A thread that is gone gives no answers, which is told where they are waited for.
            let _ = give.send(input.clone());
            Pending { asked, coming: Ok(Coming { modules: Arc::clone(modules), questions, input, sender, receiver }) }
        }
        Err(answer) => Pending::all(asked, answer),
    }
}

fn on_a_thread(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Builder::new().name(THREAD.to_owned()).stack_size(STACK_BYTES).spawn(work).map(drop)
}

/// The same value, which shares no text, list or object with the one that it was made from.
pub(super) fn copy_of(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::from(items.iter().map(copy_of).collect::<Vec<_>>()),
        Value::Object(fields) => {
            Value::from(fields.iter().map(|(key, value)| (copy_of(key), copy_of(value))).collect::<BTreeMap<_, _>>())
        }
        Value::String(text) => Value::String(text.as_ref().into()),
        other => other.clone(),
    }
}

/// Takes questions until none is left, or nobody waits for answers any more.
fn answer_all(
    modules: &Prepared,
    thread: usize,
    input: impl FnOnce() -> Option<Value>,
    questions: &Questions,
    sender: &Sender<(usize, Answer)>,
) {
    // Copied before the input is waited for; where that fails, each question fails with the reason.
    let copied = catch_unwind(AssertUnwindSafe(|| modules.engine(thread).ok()));
    let mut ready: Option<Engine> = copied.ok().flatten();
    let Some(input) = input() else { return };
    while let Some((position, question)) = questions.take() {
        let taken = ready.take();
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let mut engine = match taken {
                Some(ready) => ready,
                None => modules.engine(thread)?,
            };
            let answer = answer(&mut engine, &input, question, &questions.stop);
            Ok::<_, String>((answer, engine))
        }));
        let answer = match attempt {
            Ok(Ok((answer, again))) => {
                ready = Some(again);
                answer
            }
            Ok(Err(message)) => failed(message),
            Err(_) => {
                // A panic leaves the meter of this thread running.
                let _ = budget::end();
                failed("the interpreter broke off: a built-in function cannot deal with what it was given".to_owned())
            }
        };
        if sender.send((position, answer)).is_err() {
            return;
        }
    }
}

/// An engine with every module and every charge for each thread of a decision, which has seen no input; every decision
/// begins with copies of them.
#[derive(Debug)]
pub(super) struct Prepared([Result<Engine, String>; THREADS]);

impl Prepared {
    /// Reads every module; needs the stack of a thread for modules.
    pub(super) fn new(files: &BTreeMap<String, String>) -> Self {
        Self(std::array::from_fn(|_| prepare(files)))
    }

    /// A copy of the engine of one thread.
    pub(super) fn engine(&self, thread: usize) -> Result<Engine, String> {
        self.0.get(thread).cloned().unwrap_or_else(|| Err("there are fewer threads".to_owned()))
    }
}

impl Drop for Prepared {
    /// Lets go of the modules on a thread for modules: a chain of operators is as deep as it is long, whoever drops it.
    fn drop(&mut self) {
        let modules = ManuallyDrop::new(std::mem::replace(&mut self.0, std::array::from_fn(|_| Err(String::new()))));
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
