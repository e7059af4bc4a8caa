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
