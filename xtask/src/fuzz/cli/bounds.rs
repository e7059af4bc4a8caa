//! Bounds: what a command is given leads to no other place than the folder of the run, and to no other machine.

use super::lines::LEFT_OUT;

/// The longest word, in bytes: a longer one, the system gives to no program.
pub const WORD_BYTES: usize = 64 * 1024;
/// How many directories a word may climb up. The working directory lies deeper than that below the folder of the run.
const CLIMBS: usize = 3;
/// Places elsewhere that can be read, and that nothing takes the place of, whoever writes there.
const HARMLESS: [&[u8]; 3] = [b"/proc/self/fd/0", b"/proc/self/mem", b"/proc/self/environ"];
/// How the address of a server on this machine goes on after its scheme.
const LOOPBACK: [&[u8]; 2] = [b"127.0.0.1:", b"[::1]:"];

/// Whether a word names a command that is never run.
pub fn is_left_out(word: &[u8]) -> bool {
    LEFT_OUT.iter().any(|(name, _)| name.as_bytes() == word)
}

/// A word that a program can be given, with every path in it made to lie within the run, and no address but of this
/// machine.
pub fn within(word: &[u8]) -> Vec<u8> {
    if HARMLESS.contains(&word) {
        return word.to_vec();
    }
    let mut out: Vec<u8> = Vec::new();
    let mut climbs = 0;
    for byte in nearby(word) {
        match byte {
            b'/' if matches!(out.last(), None | Some(b'=')) => out.extend(b"./"),
            b'.' if out.ends_with(b".") => {
                climbs += 1;
                out.push(if climbs > CLIMBS { b'_' } else { byte });
            }
            // No word can hold it.
            0 => out.push(1),
            _ => out.push(byte),
        }
    }
    out.truncate(WORD_BYTES);
    out
}

/// A text in which no address leads to another machine.
pub fn nearby(text: &[u8]) -> Vec<u8> {
    let leads_away = |at: usize| {
        let after = text.get(at..).and_then(|rest| rest.strip_prefix(b"://"));
        after.is_some_and(|after| !after.is_empty() && !LOOPBACK.iter().any(|host| after.starts_with(host)))
    };
    text.iter().enumerate().map(|(at, byte)| if leads_away(at) { b'_' } else { *byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_leads_out() {
        let check = |word: &[u8], expected: &[u8]| {
            let found = within(word);
            assert_eq!(found, expected, "{}", found.escape_ascii());
        };
        check(b"--trust=pins/trust.json", b"--trust=pins/trust.json");
        check(b"/dev/null", b"./dev/null");
        check(b"--file=/dev/null", b"--file=./dev/null");
        check(b"junit=/etc/passwd", b"junit=./etc/passwd");
        check(b"//", b".//");
        check(b"/proc/self/mem", b"/proc/self/mem");
        check(b"/proc/self/memory", b"./proc/self/memory");
        check(b"../../x", b"../../x");
        check(b"../../../../x", b"../../../._/x");
        check(b"a\0b", b"a\x01b");
        check(b"\xff/\xfe", b"\xff/\xfe");
        check(b"http://127.0.0.1:80/x", b"http://127.0.0.1:80/x");
        check(b"http://elsewhere", b"http_//elsewhere");
        assert_eq!(within(&b"x".repeat(WORD_BYTES + 1)).len(), WORD_BYTES);
        assert!(is_left_out(b"up") && !is_left_out(b"upper"));
    }

    #[test]
    fn no_address_leads_to_another_machine() {
        let check = |text: &str, expected: &str| assert_eq!(nearby(text.as_bytes()), expected.as_bytes(), "{text}");
        check("server = \"http://127.0.0.1:7430\"\n", "server = \"http://127.0.0.1:7430\"\n");
        check("server = \"http://137.0.0.1:7430\"\n", "server = \"http_//137.0.0.1:7430\"\n");
        check("http://[::1]:1 https://127.0.0.1.example", "http://[::1]:1 https_//127.0.0.1.example");
        check("http://", "http://");
        check("http:///a://b", "http_///a_//b");
    }
}
