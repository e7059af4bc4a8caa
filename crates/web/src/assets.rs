//! What pages load: scripts, styles and the icon, as files of their own, built in.

/// The content type of scripts.
pub const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// What a page may load and do: its own scripts, styles and icon, requests to this server, and nothing else. Text can
/// become markup nowhere (Trusted Types), and no other site can show a page inside its own.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'";

/// One file.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Its name below `/assets/`.
    pub name: &'static str,
    /// Its content type.
    pub content_type: &'static str,
    /// Its bytes, which are text.
    pub text: &'static str,
}

macro_rules! assets {
    ($($name:literal $content_type:expr;)*) => {
        &[$(Asset { name: $name, content_type: $content_type, text: include_str!(concat!("../assets/", $name)) }),*]
    };
}

/// Every file that pages load, beside the list of code words, which the server makes from the code.
pub const ASSETS: &[Asset] = assets! {
    "act.js" SCRIPT;
    "approve.js" SCRIPT;
    "dashboard.css" STYLE;
    "dashboard.js" SCRIPT;
    "enrol.js" SCRIPT;
    "icon.svg" IMAGE;
    "log.js" SCRIPT;
    "page.css" STYLE;
    "page.js" SCRIPT;
    "passkey.js" SCRIPT;
    "session.js" SCRIPT;
    "sign-in.js" SCRIPT;
    "signing.js" SCRIPT;
    "sshsig.js" SCRIPT;
    "times.js" SCRIPT;
    "verifier.js" SCRIPT;
    "words.js" SCRIPT;
};

/// The pages that are the same for everyone; what differs, their scripts fetch.
pub mod pages {
    /// `/approve/{id}`.
    pub const APPROVE: &str = include_str!("../assets/approve.html");
    /// `/enrol`.
    pub const ENROL: &str = include_str!("../assets/enrol.html");
    /// `/sign-in`.
    pub const SIGN_IN: &str = include_str!("../assets/sign-in.html");
}

#[cfg(test)]
#[path = "contrast_tests.rs"]
mod contrast_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::visible;

    /// The offline viewer stands alone, and the pages' scripts are no Rust: the set is written three times.
    #[test]
    fn browsers_escape_the_same_characters_as_the_server() {
        let is_hidden = |c: &char| !c.is_control() && visible(&c.to_string()) != c.to_string();
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for code in ('\0'..=char::MAX).filter(is_hidden).map(u32::from) {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == code => *last = code,
                _ => runs.push((code, code)),
            }
        }
        let written = |code: u32| if code > 0xffff { format!("\\u{{{code:x}}}") } else { format!("\\u{code:04x}") };
        let run = |(first, last): &(u32, u32)| match first == last {
            true => written(*first),
            false => format!("{}-{}", written(*first), written(*last)),
        };
        let class = format!("/[\\p{{Cc}}{}]/gu", runs.iter().map(run).collect::<String>());
        let page = ASSETS.iter().find(|asset| asset.name == "page.js").unwrap();
        for text in [page.text, include_str!("../assets/viewer.js")] {
            assert!(text.contains(&class), "{class}");
        }
    }
}
