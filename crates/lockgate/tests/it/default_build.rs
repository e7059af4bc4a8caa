//! What users get: no failpoint and no planted bug can be switched on in it.

#[test]
fn only_a_test_build_knows_faults() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_lockgate")).unwrap();
    let rest = [b"OCKGATE_FAULT".as_slice(), b"OCKGATE_PLANT".as_slice()];
    let knows = program.split(|byte| *byte == b'L').any(|part| rest.iter().any(|name| part.starts_with(name)));
    assert_eq!(knows, cfg!(feature = "faults"));
}
