//! Of the policy set: its gates, groups, tests and backtests.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "BACKTEST_DIFFERS",
        "The report of a backtest was made again from the same entries, and something else came out: it does not say what the policy set would have decided. Sign nothing, and ask who made it; a report that `lockgate policy backtest` wrote comes out the same everywhere. If an audit says it, the change was made with that report, and whoever signed it was shown something untrue.",
    ),
    (
        "BACKTEST_EMPTY",
        "Nothing was decided again, because the ledger has no entry from there on. Name an earlier entry or a longer time with `--since`, or leave it out to look at the whole history.",
    ),
    (
        "BACKTEST_ENGINE",
        "Another version of Lockgate made the backtest of a policy set. It is a remark of the audit: this version cannot decide by those rules, so that it did not make the report again. Run `lockgate audit` of the version of that time to have it made again.",
    ),
    (
        "BACKTEST_FAILED",
        "Deciding the history again ended before every decision was made. Nothing was written; run it again, and report it if it happens again.",
    ),
    (
        "BACKTEST_INVALID",
        "The file is not a backtest of this version as it was written: its digest is signed, so every byte counts. Make it again with `lockgate policy backtest DIR --report FILE`, and hand it in as it is.",
    ),
    (
        "BACKTEST_MISSING",
        "The active policy set has `[governance] backtest = true`: a change of policy carries the report of a backtest of the whole history, whose digest everyone signs. Run `lockgate policy backtest DIR --report FILE` without `--since`, then activate with `--backtest FILE`.",
    ),
    (
        "BACKTEST_STALE",
        "The backtest is of another policy set, or from before another one became active. Run it again on exactly the files that are to be activated.",
    ),
    (
        "BACKTEST_TOO_LARGE",
        "A change of policy carries a backtest of at most 3 MiB, which is some ten thousand decisions that come out differently. Look at less of the history with `--since`; whoever signs sees from where on. Where the active policy set demands all of it, change the set in smaller steps.",
    ),
    (
        "CONTROL_UNKNOWN",
        "No gate of the active policy set, and none of a decision, answers to that control. Gates name theirs with `controls` in gates/*.toml; `lockgate audit export` without `--control` lists all. Those of the starter set `regulated` have some: `lockgate init DIR --starter regulated`.",
    ),
    ("GATE_UNKNOWN", "The active policy set has no gate of that name. `lockgate policy show` lists them."),
    ("GROUP_UNKNOWN", "The active policy set has no group of that name. `lockgate policy show` lists them."),
    (
        "POLICY_COVERAGE_LOW",
        "Too few gates are seen on both sides by the policy set's tests: passing, and objecting. Add tests that name the gates that are listed.",
    ),
    (
        "POLICY_DOUBTFUL",
        "The policy set loads, and says what it probably does not mean. Look up the code of each warning with `lockgate explain CODE`, and change what it is about; without `--strict` warnings do not fail.",
    ),
    (
        "POLICY_INVALID",
        "The policy set does not load. `lockgate policy check DIR` names every problem with its file and line.",
    ),
    ("POLICY_MISMATCH", "The signature is for another policy set than the one handed in. Sign the one that you mean."),
    ("POLICY_MISSING", "There is no policy set in that directory. `lockgate init DIR` writes a starter."),
    (
        "POLICY_SAME",
        "That policy set is the active one already; nothing was recorded. `lockgate policy show` prints it, and `lockgate policy diff active DIR` what another one would change.",
    ),
    (
        "POLICY_SNAPSHOT_DIFFERS",
        "What the tests explain is not what `tests/*.explain.txt` holds. Look at each line; if all are meant, write them anew with `lockgate policy test --update`.",
    ),
    (
        "POLICY_STALE",
        "Another policy set has become active since this was signed, so that it can only fail. Reject it with `lockgate change reject C-N --reason stale`, and propose it anew.",
    ),
    ("POLICY_TESTS_FAILED", "The policy set's own tests fail. `lockgate policy test DIR` shows which."),
    (
        "POLICY_TESTS_MISSING",
        "The policy set has no tests, so that nothing says what it is meant to do. Put some into `tests/*.toml`.",
    ),
    (
        "POLICY_TEST_UNKNOWN",
        "The policy set has no test of that name. Choose one of those that the next step lists; where it lists none, write one into `tests/*.toml`.",
    ),
    (
        "POLICY_UNKNOWN",
        "No policy set is known by that name: write a directory, `active`, the digest of a set in the ledger, or a starter set.",
    ),
    (
        "STARTER_UNKNOWN",
        "There is no starter policy set of that name. `lockgate init --list` names those that there are.",
    ),
];
