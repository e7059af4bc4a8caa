//! `codegen`: the files under `docs/` that follow from the code.

use crate::failure::{During as _, Result};
use crate::workspace;

/// A file that follows from the code.
#[derive(Debug)]
pub struct Generated {
    /// Its path from the workspace's root.
    pub path: &'static str,
    /// What it has to hold.
    pub text: String,
}

/// Writes every generated file that differs.
///
/// # Errors
/// When one cannot be made or written.
pub fn run() -> Result<()> {
    for file in generated()? {
        if workspace::read(file.path).is_ok_and(|found| found == file.text) {
            println!("{} is up to date", file.path);
        } else {
            workspace::write(file.path, &file.text)?;
            println!("{} written", file.path);
        }
    }
    Ok(())
}

/// Every generated file as it has to be.
///
/// # Errors
/// When one cannot be made, such as when the binary does not build.
pub fn generated() -> Result<Vec<Generated>> {
    Ok(vec![
        Generated { path: "docs/openapi.json", text: openapi()? },
        Generated { path: "docs/cli.md", text: cli()? },
        Generated { path: "docs/reasons.md", text: reasons(lockgate_policy::REASONS) },
        Generated { path: "docs/schemas/facts-v1.json", text: facts()? },
    ])
}

fn openapi() -> Result<String> {
    let document = lockgate_api::openapi::document();
    let text = serde_json::to_string_pretty(&document).during("write the OpenAPI document")?;
    Ok(text + "\n")
}

fn cli() -> Result<String> {
    let bytes = workspace::output("cargo", &["run", "-q", "-p", "lockgate", "--", "help-all"])?;
    let text = String::from_utf8(bytes).during("read the reference of every command")?;
    Ok(text.trim_end().to_owned() + "\n")
}

fn facts() -> Result<String> {
    let text = serde_json::to_string_pretty(&lockgate_model::facts::schema()).during("write the schema of facts")?;
    Ok(text + "\n")
}

fn reasons(reasons: &[(&str, &str)]) -> String {
    let mut text = String::from(
        "# Reason codes\n\n\
         Why a gate of a decision came out as it did. Codes are stable: scripts may rely on them. \
         `lockgate explain CODE` prints the same.\n\n\
         This file is generated from the code by `cargo xtask codegen`.\n",
    );
    for (code, explanation) in reasons {
        text.push_str(&format!("\n## {code}\n\n{explanation}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_heading_and_its_text() {
        let text = reasons(&[("A_CODE", "What it means."), ("B_CODE", "What else.")]);
        assert!(text.starts_with("# Reason codes\n"));
        assert!(text.ends_with("\n## A_CODE\n\nWhat it means.\n\n## B_CODE\n\nWhat else.\n"), "{text}");
    }

    #[test]
    fn the_api_document_is_json_and_ends_its_last_line() {
        let text = openapi().unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["openapi"], "3.1.0");
        assert!(text.ends_with("}\n"));
    }
}
