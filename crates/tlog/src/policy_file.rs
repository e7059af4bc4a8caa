//! Trust policies: which logs a verifier trusts, and which witnesses must have seen a checkpoint (C2SP tlog-policy).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use lockgate_model::Limits;
use lockgate_sign::note::{Note, NoteKeyKind, VerifierKey};

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::cosignature::{self, CosignatureError};
use crate::decimal;

/// The longest policy file in bytes.
const POLICY_MAX_BYTES: usize = 256 * 1024;
/// How many logs, witnesses and groups a policy may each have; the specification asks for at least 32.
const PARTS_MAX: usize = 128;
/// The name of the empty quorum; nothing else may bear it.
const NONE: &str = "none";

/// Why a text is not a trust policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFileError {
    /// One line is wrong.
    #[error("line {line} of the trust policy: {reason}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The policy as a whole is wrong.
    #[error("the trust policy is refused: {0}")]
    Whole(String),
}

/// Why a checkpoint is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The checkpoint is malformed, or the log's signature on it is bad.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// No log of the policy has signed it.
    #[error("no trusted log named `{0}` has signed this checkpoint: check the log's key in the trust policy")]
    UnknownLog(String),
    /// A trusted witness's cosignature is malformed or bad, which is never ignored.
    #[error(transparent)]
    Cosignature(#[from] CosignatureError),
    /// Too few witnesses.
    #[error("the quorum `{quorum}` is not met, {found} trusted witnesses have cosigned: wait, or ask the others")]
    QuorumNotMet {
        /// The witness or group that the policy demands.
        quorum: String,
        /// How many of the policy's witnesses have cosigned.
        found: usize,
    },
}

/// A log that the verifier trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// Its key (type 0x01), named by the log's origin.
    pub vkey: VerifierKey,
    /// Where it can be reached, if that is known.
    pub url: Option<String>,
}

/// A witness that the verifier trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    /// Its name within the policy.
    pub name: String,
    /// Its cosignature key (type 0x04).
    pub vkey: VerifierKey,
    /// Where it can be reached, if that is known.
    pub url: Option<String>,
}

/// How many members of a group must have witnessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// Every member.
    All,
    /// One member.
    Any,
    /// That many members, at least 1.
    AtLeast(usize),
}

/// A set of witnesses and other groups that counts as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessGroup {
    /// Its name within the policy.
    pub name: String,
    /// How many members must have witnessed.
    pub threshold: Threshold,
    /// Names of witnesses, and of groups defined before.
    pub members: Vec<String>,
}

impl WitnessGroup {
    /// How many members must have witnessed, as a number.
    fn needed(&self) -> usize {
        match self.threshold {
            Threshold::All => self.members.len(),
            Threshold::Any => 1,
            Threshold::AtLeast(count) => count,
        }
    }
}

/// Which witnesses a checkpoint needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quorum {
    /// No witness at all.
    None,
    /// The witness or group of that name.
    Of(String),
}

/// A verified quorum: the policy's witnesses that have cosigned, in the policy's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumMet {
    /// Each witness once.
    pub witnesses: Vec<Cosigned>,
}

/// One witness's verified cosignature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The witness's name within the policy.
    pub name: String,
    /// When it cosigned, in seconds since 1970, by its own clock.
    pub time_secs: u64,
}

/// A deployer's pinned trust: logs, witnesses, groups of them, and the quorum.
///
/// INVARIANT (one voice a witness): no two logs and no two witnesses share key material, every name is defined once
/// and before its use, and no name is a member of groups more than once; so that a witness counts in one way only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustPolicy {
    logs: Vec<LogKey>,
    witnesses: Vec<WitnessKey>,
    groups: Vec<WitnessGroup>,
    quorum: Quorum,
}

impl TrustPolicy {
    /// Builds a policy from its parts; a group may name witnesses, and groups that stand before it.
    ///
    /// # Errors
    /// [`PolicyFileError::Whole`] for anything that a policy file could not say.
    pub fn new(
        logs: Vec<LogKey>,
        witnesses: Vec<WitnessKey>,
        groups: Vec<WitnessGroup>,
        quorum: Quorum,
    ) -> Result<Self, PolicyFileError> {
        let build = || -> Result<Self, String> {
            let mut policy = Self::unfinished();
            logs.into_iter().try_for_each(|log| policy.log_add(log))?;
            witnesses.into_iter().try_for_each(|witness| policy.witness_add(witness))?;
            groups.into_iter().try_for_each(|group| policy.group_add(group))?;
            policy.quorum_set(quorum)?;
            Ok(policy)
        };
        build().map_err(PolicyFileError::Whole)
    }

    /// The trusted logs, in the policy's order.
    pub fn logs(&self) -> &[LogKey] {
        &self.logs
    }

    /// The trusted witnesses, in the policy's order.
    pub fn witnesses(&self) -> &[WitnessKey] {
        &self.witnesses
    }

    /// The groups, each after its members.
    pub fn groups(&self) -> &[WitnessGroup] {
        &self.groups
    }

    /// Which witnesses a checkpoint needs.
    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// Verifies a checkpoint note: signed by a trusted log of that origin, and witnessed as the quorum demands.
    ///
    /// Whether it is recent is for the caller to say, by the times in [`QuorumMet`].
    ///
    /// # Errors
    /// [`TrustError`]; a bad signature of a trusted key refuses the note even if others would suffice (signed-note).
    pub fn open(&self, bytes: &[u8], limits: &Limits) -> Result<(SignedCheckpoint, QuorumMet), TrustError> {
        // Step 1: the note and its body have the one accepted form.
        let note = Note::parse(bytes, limits).map_err(CheckpointError::from)?;
        let checkpoint = Checkpoint::parse_body(&note.text)?;
        // Step 2: every trusted key of this origin that is on the note verifies, and at least one is there.
        let mut signed = false;
        for key in self.logs.iter().map(|log| &log.vkey).filter(|key| key.name() == checkpoint.origin) {
            if note.signatures.iter().any(|line| line.name == key.name() && line.key_id == key.key_id()) {
                note.verify_ed25519(key).map_err(CheckpointError::from)?;
                signed = true;
            }
        }
        if !signed {
            return Err(TrustError::UnknownLog(checkpoint.origin));
        }
        // Step 3: the witnesses.
        let quorum = self.quorum_met(&note)?;
        Ok((SignedCheckpoint { checkpoint, note }, quorum))
    }

    /// Counts the policy's witnesses on a checkpoint note, each once, and demands the quorum.
    ///
    /// It does not verify the log's own signature: see [`TrustPolicy::open`].
    ///
    /// # Errors
    /// [`TrustError::QuorumNotMet`], or [`TrustError::Cosignature`] when a trusted witness's line is bad.
    pub fn quorum_met(&self, note: &Note) -> Result<QuorumMet, TrustError> {
        // Relies on INVARIANT (one voice a witness).
        let mut witnesses = Vec::new();
        let mut witnessed = BTreeSet::new();
        for witness in &self.witnesses {
            match cosignature::verify(&witness.vkey, note) {
                Ok(time_secs) => {
                    witnesses.push(Cosigned { name: witness.name.clone(), time_secs });
                    witnessed.insert(witness.name.as_str());
                }
                Err(CosignatureError::NotSigned(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // Members stand before their group, so that one pass decides every group.
        for group in &self.groups {
            let found = group.members.iter().filter(|member| witnessed.contains(member.as_str())).count();
            if found >= group.needed() {
                witnessed.insert(group.name.as_str());
            }
        }
        match &self.quorum {
            Quorum::Of(name) if !witnessed.contains(name.as_str()) => {
                Err(TrustError::QuorumNotMet { quorum: name.clone(), found: witnesses.len() })
            }
            Quorum::None | Quorum::Of(_) => Ok(QuorumMet { witnesses }),
        }
    }

    fn unfinished() -> Self {
        Self { logs: Vec::new(), witnesses: Vec::new(), groups: Vec::new(), quorum: Quorum::None }
    }

    fn log_add(&mut self, log: LogKey) -> Result<(), String> {
        check_count(self.logs.len(), "logs")?;
        check_url(log.url.as_deref())?;
        if !matches!(log.vkey.kind(), NoteKeyKind::Ed25519) {
            return Err(format!("the key `{}` is not a log's: it must be of type 1 (Ed25519)", log.vkey.name()));
        }
        if self.logs.iter().any(|other| other.vkey.public_key() == log.vkey.public_key()) {
            return Err(format!("the key of log `{}` stands here twice: name each log once", log.vkey.name()));
        }
        self.logs.push(log);
        Ok(())
    }

    fn witness_add(&mut self, witness: WitnessKey) -> Result<(), String> {
        check_count(self.witnesses.len(), "witnesses")?;
        check_url(witness.url.as_deref())?;
        self.check_new_name(&witness.name)?;
        if !matches!(witness.vkey.kind(), NoteKeyKind::CosignatureEd25519) {
            return Err(format!("the key of `{}` is not a witness's: it must be of type 4", witness.name));
        }
        if self.witnesses.iter().any(|other| other.vkey.public_key() == witness.vkey.public_key()) {
            return Err(format!("the key of `{}` is another witness's too: a witness counts once", witness.name));
        }
        self.witnesses.push(witness);
        Ok(())
    }

    fn group_add(&mut self, group: WitnessGroup) -> Result<(), String> {
        check_count(self.groups.len(), "groups")?;
        self.check_new_name(&group.name)?;
        if group.needed() == 0 || group.needed() > group.members.len() {
            return Err(format!(
                "the group `{}` has {} members: its threshold is `all`, `any`, or a number from 1 to that",
                group.name,
                group.members.len()
            ));
        }
        self.check_members(&group.members)?;
        self.groups.push(group);
        Ok(())
    }

    fn check_members(&self, members: &[String]) -> Result<(), String> {
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        taken.extend(self.groups.iter().flat_map(|group| &group.members).map(String::as_str));
        for member in members {
            if !self.is_defined(member) {
                return Err(format!("`{member}` is not defined above: define a witness or group before it is used"));
            }
            if !taken.insert(member) {
                return Err(format!("`{member}` is a member twice: a name may stand in one group, once"));
            }
        }
        Ok(())
    }

    fn quorum_set(&mut self, quorum: Quorum) -> Result<(), String> {
        if let Quorum::Of(name) = &quorum
            && !self.is_defined(name)
        {
            return Err(format!("the quorum `{name}` is not defined above: name a witness, a group, or `none`"));
        }
        self.quorum = quorum;
        Ok(())
    }

    fn is_defined(&self, name: &str) -> bool {
        let mut names = self.witnesses.iter().map(|witness| &witness.name);
        names.any(|other| other == name) || self.groups.iter().any(|group| group.name == name)
    }

    fn check_new_name(&self, name: &str) -> Result<(), String> {
        if !is_word(name) || name == NONE {
            return Err(format!("`{name}` cannot be a name: it is empty, reserved, or has spaces"));
        }
        if self.is_defined(name) {
            return Err(format!("`{name}` is defined twice: give each witness and group a name of its own"));
        }
        Ok(())
    }

    /// Takes in one line that is neither empty nor a comment; `quorum` is what a quorum line said, if one came.
    fn line_add(&mut self, words: &[&str], quorum: &mut Option<Quorum>) -> Result<(), String> {
        match *words {
            ["log", vkey] => self.log_add(LogKey { vkey: parse_vkey(vkey)?, url: None }),
            ["log", vkey, url] => self.log_add(LogKey { vkey: parse_vkey(vkey)?, url: Some(url.to_owned()) }),
            ["witness", name, vkey] => {
                self.witness_add(WitnessKey { name: name.to_owned(), vkey: parse_vkey(vkey)?, url: None })
            }
            ["witness", name, vkey, url] => {
                let url = Some(url.to_owned());
                self.witness_add(WitnessKey { name: name.to_owned(), vkey: parse_vkey(vkey)?, url })
            }
            ["group", name, threshold, ref members @ ..] => self.group_add(WitnessGroup {
                name: name.to_owned(),
                threshold: parse_threshold(threshold)?,
                members: members.iter().map(|member| (*member).to_owned()).collect(),
            }),
            ["quorum", _] if quorum.is_some() => Err("there is a second quorum: write exactly one".to_owned()),
            ["quorum", name] => {
                let found = if name == NONE { Quorum::None } else { Quorum::Of(name.to_owned()) };
                self.quorum_set(found.clone())?;
                *quorum = Some(found);
                Ok(())
            }
            _ => Err("write `log <vkey> [<url>]`, `witness <name> <vkey> [<url>]`, \
                      `group <name> <number|all|any> <names>` or `quorum <name|none>`"
                .to_owned()),
        }
    }
}

fn parse_vkey(text: &str) -> Result<VerifierKey, String> {
    text.parse::<VerifierKey>().map_err(|error| error.to_string())
}

fn parse_threshold(text: &str) -> Result<Threshold, String> {
    match text {
        "all" => Ok(Threshold::All),
        "any" => Ok(Threshold::Any),
        _ => decimal::parse(text)
            .and_then(|count| usize::try_from(count).ok())
            .map(Threshold::AtLeast)
            .ok_or_else(|| format!("`{text}` is not a threshold: write `all`, `any` or a number")),
    }
}

/// Whether a text can stand in a policy line as one word.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte > b' ' && byte != 0x7f)
}

fn check_url(url: Option<&str>) -> Result<(), String> {
    match url {
        Some(url) if !is_word(url) => Err(format!("`{url}` is not a URL: it is empty, or has spaces")),
        _ => Ok(()),
    }
}

fn check_count(count: usize, what: &str) -> Result<(), String> {
    if count < PARTS_MAX { Ok(()) } else { Err(format!("more than {PARTS_MAX} {what}: split the policy")) }
}

impl FromStr for TrustPolicy {
    type Err = PolicyFileError;

    /// Reads a policy file. The last line must be ended too, so that a file that was cut off is not taken for whole.
    fn from_str(text: &str) -> Result<Self, PolicyFileError> {
        let whole = |reason: &str| PolicyFileError::Whole(reason.to_owned());
        if text.len() > POLICY_MAX_BYTES {
            return Err(PolicyFileError::Whole(format!("it is longer than {POLICY_MAX_BYTES} bytes")));
        }
        let lines =
            text.strip_suffix('\n').ok_or_else(|| whole("its last line has no line feed: it may be cut off"))?;
        let mut policy = Self::unfinished();
        let mut quorum = None;
        for (number, line) in (1usize..).zip(lines.split('\n')) {
            let at = |reason: String| PolicyFileError::Line { line: number, reason };
            if line.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
                return Err(at("it has a control character: only tabs and line feeds are allowed".to_owned()));
            }
            let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            match words.first() {
                None => {}
                Some(word) if word.starts_with('#') => {}
                Some(_) => policy.line_add(&words, &mut quorum).map_err(at)?,
            }
        }
        match quorum {
            Some(_) => Ok(policy),
            None => Err(whole("it has no quorum: write `quorum <name>`, or `quorum none` for no witnesses")),
        }
    }
}

impl fmt::Display for TrustPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = |url: &Option<String>| url.as_ref().map(|url| format!(" {url}")).unwrap_or_default();
        for log in &self.logs {
            writeln!(f, "log {}{}", log.vkey, url(&log.url))?;
        }
        for witness in &self.witnesses {
            writeln!(f, "witness {} {}{}", witness.name, witness.vkey, url(&witness.url))?;
        }
        for group in &self.groups {
            let threshold = match group.threshold {
                Threshold::All => "all".to_owned(),
                Threshold::Any => "any".to_owned(),
                Threshold::AtLeast(count) => count.to_string(),
            };
            writeln!(f, "group {} {threshold} {}", group.name, group.members.join(" "))?;
        }
        match &self.quorum {
            Quorum::None => writeln!(f, "quorum {NONE}"),
            Quorum::Of(name) => writeln!(f, "quorum {name}"),
        }
    }
}

#[cfg(test)]
mod tests;
