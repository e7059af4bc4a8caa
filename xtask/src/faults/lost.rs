//! Lost files: each file of an instance is missing in turn; the start refuses and says what to do, or makes it again, or
//! the audit, or whoever needs it, misses it.

use std::fs;

use super::answers::ask;
use super::crew::work_through;
use super::ground::{Ground, files_below, remove_if_there};
use super::outcome::{Case, Part};
use super::torn::Killed;
use crate::failure::{During as _, Failure, Result};

/// Runs the part.
///
/// # Errors
/// When a case could not be made or judged.
pub fn run(ground: &Ground) -> Result<Part> {
    let mut part = Part::new("lost");
    // Of a killed server, because only then the write-ahead log holds something.
    let killed = Killed::make(ground, "lost")?;
    let note = killed.note();
    let asked = ground.copy(&killed.home, "lost-asked")?;
    let untouched = ask(ground, &asked, &note)?;
    if !untouched.all_well() {
        return Err(Failure::new(format!("the untouched instance does not answer: {untouched:?}")));
    }
    remove_if_there(&killed.home.join("server.json"))?;
    let files = files_below(&killed.home)?;
    let cases = work_through(&files, |worker, file| {
        let copy = ground.copy(&killed.home, &format!("lost-{worker}"))?;
        fs::remove_file(copy.join(file)).during(format!("remove `{}`", file.display()))?;
        ask(ground, &copy, &note).map(|answers| answers.against(&untouched))
    })?;
    for (file, case) in files.iter().zip(cases) {
        let name = file.display();
        let case = match case {
            Case::Found(what) => Case::Found(format!("without {name}: {what}")),
            other => other,
        };
        if let Case::Detected(reason) = &case {
            part.notes.push(format!("without {name}: {reason}"));
        }
        part.count(&case);
    }
    Ok(part)
}
