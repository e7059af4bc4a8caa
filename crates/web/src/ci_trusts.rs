//! CI trusts: the forms that let pipelines act as machines, and that end it.

use maud::{Markup, html};

use crate::Rights;
use crate::action::{reason, refused};
use crate::signing::{self, hidden, line};
use crate::wording::command;

/// The part of the page that trusts pipelines, for whoever manages keys; for others, who may.
pub fn section(rights: &Rights) -> Markup {
    html! {
        section aria-labelledby="ci-title" {
            h2 id="ci-title" { "Trust a pipeline" }
            p {
                "Its jobs exchange the token of their CI system for one that is good for the services named here, and \
                 for a quarter of an hour. They act as a machine, and machines never approve."
            }
            @if rights.may("keys") {
                (github())
                (gitlab())
                (oidc())
            } @else {
                (refused("Trust a pipeline", rights, "keys"))
            }
            (command("cli-ci-trusts", "lockgate ci trust list"))
        }
    }
}

/// A form that ends the trust of an entry.
pub fn end(entry: u64) -> Markup {
    let fields = html! {
        (hidden("trust", &entry.to_string()))
        (reason(&format!("ci-untrust-reason-{entry}")))
    };
    signing::form("ci-untrust", &format!("ci-untrust-{entry}"), "Trust it no more", &fields)
}

fn github() -> Markup {
    let fields = html! {
        (number("ci-github", "repository_owner_id", "Numeric id of the owner (gh api users/OWNER --jq .id)"))
        (number("ci-github", "repository_id", "Numeric id of the repository (gh api repos/OWNER/NAME --jq .id)"))
        (wish("ci-github", "environment", "Only jobs of this GitHub environment"))
        (wish("ci-github", "ref", "Only jobs of this ref, such as refs/heads/main"))
        (wish("ci-github", "workflow_ref", "Only jobs of this workflow file at this ref"))
        (wish("ci-github", "issuer", "Issuer, for GitHub Enterprise Server; left empty, the one of github.com"))
    };
    provider(
        "github",
        "GitHub Actions",
        &fields,
        "lockgate ci trust add github --owner-id NUMBER --repository-id NUMBER --service SERVICE --machine NAME",
    )
}

fn gitlab() -> Markup {
    let fields = html! {
        (number("ci-gitlab", "namespace_id", "Numeric id of the namespace"))
        (number("ci-gitlab", "project_id", "Numeric id of the project"))
        (wish("ci-gitlab", "environment", "Only jobs of this GitLab environment"))
        (wish("ci-gitlab", "ref", "Only jobs of this branch or tag, such as main"))
        label.choice for="ci-gitlab-ref_protected" {
            input id="ci-gitlab-ref_protected" type="checkbox" name="ref_protected" value="true";
            " only jobs of protected branches and tags"
        }
        (wish("ci-gitlab", "issuer", "Issuer, for a GitLab of your own; left empty, the one of gitlab.com"))
    };
    provider(
        "gitlab",
        "GitLab CI",
        &fields,
        "lockgate ci trust add gitlab --namespace-id NUMBER --project-id NUMBER --service SERVICE --machine NAME",
    )
}

fn oidc() -> Markup {
    let fields = html! {
        (line("ci-oidc-issuer", "issuer", "Issuer, byte for byte as in iss", true))
        label for="ci-oidc-claims" { "What claims must be, exactly: NAME=VALUE, one a line" }
        textarea id="ci-oidc-claims" name="claims" rows="3" maxlength="8192" required {}
    };
    provider(
        "oidc",
        "Another issuer of OpenID Connect tokens",
        &fields,
        "lockgate ci trust add oidc --issuer URL --claim NAME=VALUE --service SERVICE --machine NAME",
    )
}

/// The form for one kind of issuer, folded up, with its command; `named` are the fields that only this kind has.
fn provider(kind: &str, label: &str, named: &Markup, text: &str) -> Markup {
    let id = format!("ci-{kind}");
    let fields = html! {
        (hidden("provider", kind))
        (named)
        (line(&format!("{id}-services"), "services", "Services that it may act on, apart by commas", true))
        (line(
            &format!("{id}-machine"),
            "machine",
            "Machine that it acts as; it comes into being with its first trust",
            true,
        ))
        (wish(&id, "groups", "Groups of the machine, apart by commas; left empty, those that it has, else ci"))
        (wish(&id, "audience", "The only audience that counts; left empty, the name of this ledger"))
        (wish(&id, "jwks_url", "Where the issuer's keys are; left empty, where its discovery document says"))
    };
    html! {
        details id={ (id) "-more" } {
            summary { (label) }
            (signing::form("ci-trust", &id, "Trust it", &fields))
        }
        (command(&format!("cli-{id}"), text))
    }
}

/// A labelled line that may be left empty.
fn wish(id: &str, name: &str, label: &str) -> Markup {
    line(&format!("{id}-{name}"), name, label, false)
}

/// A labelled numeric id: names can be given to others, and these are not.
fn number(id: &str, name: &str, label: &str) -> Markup {
    let id = format!("{id}-{name}");
    html! {
        label for=(id) { (label) }
        input id=(id) name=(name) type="text" inputmode="numeric" pattern="[1-9][0-9]{0,19}" maxlength="20"
            title="a number" autocomplete="off" required;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_are_trusted_by_whoever_manages_keys_and_others_are_told_who_may() {
        let keeper = Rights { may: vec!["keys".to_owned()], ..Rights::default() };
        let text = section(&keeper).into_string();
        assert_eq!(text.matches("data-sign=\"ci-trust\"").count(), 3, "{text}");
        for kind in ["github", "gitlab", "oidc"] {
            for wanted in [
                format!("name=\"provider\" value=\"{kind}\""),
                format!("for=\"ci-{kind}-machine\""),
                format!("lockgate ci trust add {kind} "),
            ] {
                assert!(text.contains(&wanted), "{wanted}: {text}");
            }
        }
        assert!(!text.contains("not you"), "{text}");
        let mut rights = Rights::default();
        rights.others.insert("keys".to_owned(), "group <b>owners</b>".to_owned());
        let text = section(&rights).into_string();
        assert!(text.contains("disabled>Trust a pipeline</button>"), "{text}");
        assert!(text.contains("not you: group &lt;b&gt;owners&lt;/b&gt; may"), "{text}");
        assert!(!text.contains("data-sign"), "{text}");
    }

    /// The claims that the script makes of a form are named as its fields are.
    #[test]
    fn every_claim_of_the_script_is_a_field() {
        let script = include_str!("../assets/signing.js");
        let check = |kind: &str, form: &str| {
            let line = script.lines().find_map(|line| line.strip_prefix(&format!("  {kind}: ["))).unwrap();
            let names: Vec<&str> = line.split('\'').skip(1).step_by(2).collect();
            assert!(names.len() > 3, "{line}");
            for name in names {
                assert!(form.contains(&format!("name=\"{name}\"")), "{name}: {form}");
            }
        };
        check("github", &github().into_string());
        check("gitlab", &gitlab().into_string());
    }
}
