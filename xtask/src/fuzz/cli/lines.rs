//! Lines: valid command lines, one at least for every command that comes to an end, and those that read the home.

/// Valid command lines for the instance that they are tried on, with a space between two words.
///
/// Whatever would take away what other lines need, such as a key or a session, is asked about somebody who is not there, or
/// is not confirmed.
pub const LINES: &[&str] = &[
    "init more-policy --starter regulated",
    "init --list",
    "push app-1.4.3.bin --service shop/web --version 1.4.4 --tests junit.xml --sbom sbom.cdx.json --scan trivy.json",
    "push app-1.4.2.bin --service shop/api --version 2.0.0 --notes more.xml --source-repository http://127.0.0.1:1/web \
     --source-commit 0123456789abcdef0123456789abcdef01234567",
    "attest shop/web@1.4.3 --tests more.xml --report gitleaks=gitleaks.json",
    "promote shop/web@1.4.3 --to staging --reason weekly",
    "rollback shop/web@1.4.2 --to staging --reason worse",
    "withdraw P-9 --reason mistaken",
    "approve P-3 --as sam --comment fine",
    "approve P-3 --as sam --open --key key",
    "approve P-3 --as sam --yes",
    "approve P-3 --as sam --withdraw",
    "reject P-3 --as sam --comment late",
    "delegate add sam --env staging --service shop/web --group developers --for 1d --reason holiday --yes",
    "delegate list --all",
    "delegate end 7 --reason back",
    "why P-3",
    "status",
    "status shop/web",
    "status --approvers",
    "inbox --as sam",
    "diff shop/web@1.4.2 shop/web@1.4.3 --env production",
    "diff shop/web --from dev --to staging",
    "diff shop/web@1.4.2 shop/web@1.4.3 --markdown",
    "where pkg:npm/left-pad@1.0.0 --env staging --limit 5",
    "where cve:CVE-2021-44228 --at 2026-11-21T09:00:00Z",
    "where key:dana",
    "drift --env staging --state no-grant --old 7d",
    "drift --text shop",
    "metrics --since 30d",
    "history --release shop/web@1.4.2 --limit 3",
    "history --event approval --outcome approve --since 2026-01-01 --until 2099-01-01 --text shop",
    "history --governance --before 9",
    "history --person dana --csv",
    "verify app-1.4.2.bin --service shop/web --env staging",
    "verify app-1.4.2.bin --service shop/web --env staging --bundle staging.bundle --trust pins/trust.json",
    "bundle get P-2 --file other.bundle",
    "bundle get P-2 --file -",
    "bundle show staging.bundle --trust pins",
    "bundle view staging.bundle --out viewer.html",
    "bundle extract staging.bundle --to more-parts",
    "audit --checkpoint ready.note",
    "audit export --format csv --since 2026-01-01T00:00:00Z",
    "audit export --format oscal --out controls.json",
    "policy check policy --strict",
    "policy check policy --enrolled",
    "policy test policy --min-coverage 50",
    "policy test policy --update",
    "policy show policy",
    "policy show",
    "policy diff active policy --enrolled",
    "policy diff starter regulated",
    "policy explain P-3 --width 80",
    "policy input P-3",
    "policy input --dir policy",
    "policy backtest policy --since 3 --report backtest.json",
    "policy activate policy --reason newer",
    "key list",
    "key generate new.key --comment trial",
    "key enrol newcomer --group developers --key key --expires 30d --only-for dev --file enrolment-2.json",
    "key enrol newcomer --group developers --passkey ABCD-EFGH",
    "key add nobody --key key --expires 1d",
    "key rotate --key nowhere",
    "key retire nobody --fingerprint SHA256:AAAA --reason unused",
    "key compromised nobody --fingerprint SHA256:AAAA --since 3 --reason lost",
    "key revoke nobody --fingerprint SHA256:AAAA --compromised-since 3 --reason lost",
    "key recover nobody --key key --reason lost --file recovery.json",
    "key suspend nobody --reason gone",
    "key reinstate nobody --reason back",
    "key export-allowed-signers",
    "invite enrolment.json --as sam",
    "change list",
    "change show C-1",
    "change sign C-1 --as sam",
    "change reject C-1 --reason late",
    "waive request --gate vulnerabilities --finding CVE-2021-44228 --release shop/web@1.4.3 --env production --for 3d \
     --reason unreachable --ticket T-1 --file waiver.json",
    "waive request --gate vulnerabilities --finding CVE-2021-44228 --service shop/web --env production --reason unused",
    "waive grant 5 --as sam",
    "waive list --all",
    "waive revoke 5 --reason over",
    "feed update --kind kev --file kev.json --as sam",
    "feed list --all",
    "freeze --service shop/web --env production --until 1h --reason incident --as sam",
    "freeze list --all",
    "unfreeze 9 --reason over --as sam",
    "break-glass shop/web@1.4.3 production --reason outage --ticket T-2 --expires 1h --as sam",
    "break-glass list --all",
    "break-glass sign 9 --as sam",
    "break-glass review 9 --finding harmless --as sam",
    "access show sam",
    "access who approve --service shop/web --env production",
    "access review --as sam --sign --yes",
    "access log --person dana --action promotions. --outcome allowed --limit 3 --as sam",
    "access export more-access.log --as sam",
    "access verify access.log --trust pins",
    "ci trust add github --owner-id 7 --repository-id 9 --environment production --ref refs/heads/main --service shop/web \
     --machine robot --group ci --as sam",
    "ci trust add gitlab --namespace-id 7 --project-id 9 --protected --service shop/web --machine robot --as sam",
    "ci trust add oidc --issuer http://127.0.0.1:1 --claim project=web --service shop/web --machine robot --as sam",
    "ci trust list",
    "ci trust remove 9 --reason over --as sam",
    "login dana",
    "login dana --key key",
    "login --oidc",
    "login --ci --audience lockgate",
    "logout --as ci",
    "session list",
    "session end 00000000",
    "identity list --person dana",
    "identity unbind --issuer http://127.0.0.1:1 --subject dana --reason left",
    "whoami",
    "whoami --as ci --quiet -v",
    "whoami --server http://127.0.0.1:1",
    "trust export --to more-pins",
    "trust pin pins/trust.json --replace",
    "trust pin",
    "signature verify app-1.4.2.bin --signature parts/vsa.dsse.json --key parts/lockgate.pub",
    "signature verify app-1.4.2.bin --signature parts/vsa.sigstore.json --identity dana --issuer http://127.0.0.1:1 \
     --trust-root parts/trusted_root.json --without-log",
    "signature verify app-1.4.2.bin --signature parts/vsa.dsse.json --keyring key.pub",
    "signature root github --to root.json",
    "conformance verify-bundle --bundle parts/vsa.sigstore.json --key parts/lockgate.pub app-1.4.2.bin",
    "conformance verify --signature ready.note --certificate key.pub --certificate-identity dana \
     --certificate-oidc-issuer http://127.0.0.1:1 app-1.4.2.bin",
    "doctor",
    "doctor --home elsewhere",
    "doctor --rebuild",
    "doctor --recheck",
    "explain file_failed",
    "explain exit-codes",
    "completions bash",
    "man pages",
    "help-all",
];

/// Commands that are never run, each with the reason.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("up", "it serves until somebody ends it, or leaves a server behind"),
    ("serve", "it serves until somebody ends it"),
    ("demo", "it plays a story of its own for longer than a command may last here"),
    ("down", "it ends the process that a file of the home names"),
    ("dashboard", "it opens a browser"),
    ("drill", "it attacks copies of the data for longer than a command may last here"),
];

/// A command that ends with a refusal in a sound home, and so in a damaged one: the bundle is about another file.
pub const REFUSED: &str = "verify app-1.4.3.bin --service shop/web --env staging --bundle staging.bundle";

/// Where files of the home lie, or how their names begin, and commands that read them. `{name}` is the name of the file.
pub const READERS: &[(&str, &[&str])] = &[
    ("context.toml", &["whoami", "status", "doctor", "login sam", ONLINE]),
    (
        "trust.json",
        &[
            OFFLINE,
            REFUSED,
            ONLINE,
            "bundle show staging.bundle",
            "bundle get P-2 --file other.bundle",
            "access verify access.log",
            "trust export --to more-pins",
            "trust pin",
            "login sam",
            "audit",
            "doctor",
        ],
    ),
    ("people/", &["login {name}", "doctor"]),
    ("sessions/", &["whoami --as {name}", "session list --as {name}", "doctor"]),
    ("checkpoints/", &[ONLINE, OFFLINE, REFUSED, "bundle get P-2 --file other.bundle", "audit", "doctor"]),
    ("known/", &[ONLINE, OFFLINE, REFUSED, "bundle get P-2 --file other.bundle", "doctor"]),
    ("keys/", &["status", "audit", "doctor"]),
    ("high-water", &["audit", "doctor"]),
    ("access-high-water", &["audit", "doctor"]),
];

/// What asks the server whether a file may run.
const ONLINE: &str = "verify app-1.4.2.bin --service shop/web --env staging";
/// The same with a bundle alone.
const OFFLINE: &str = "verify app-1.4.2.bin --service shop/web --env staging --bundle staging.bundle";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn has(command: &str) -> bool {
        let is_its =
            |line: &&str| line.strip_prefix(command).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        LINES.iter().any(is_its)
    }

    #[test]
    fn every_command_has_a_line_or_a_reason_to_have_none() {
        let reference = workspace::read("docs/cli.md").unwrap();
        let mut commands = 0;
        for section in reference.split("\n## `lockgate ").skip(1) {
            let (command, text) = section.split_once("`\n").unwrap();
            let usage = text.lines().find(|line| line.starts_with("Usage: ")).unwrap();
            if !usage.ends_with("<COMMAND>") {
                let is_left_out = LEFT_OUT.iter().any(|(name, _)| *name == command);
                assert_ne!(has(command), is_left_out, "{command}");
                commands += 1;
            }
        }
        assert!(commands > LEFT_OUT.len(), "{commands}");
    }

    #[test]
    fn what_reads_the_home_is_valid_too() {
        for line in READERS.iter().flat_map(|(_, lines)| lines.iter()) {
            let first = line.split(' ').next().unwrap();
            assert!(has(first), "{line}");
        }
    }
}
