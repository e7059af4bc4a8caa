//! Drift: what is granted, what was reported, and what each says of the other.

use lockgate_engine::attest::{Evidence, Form, attest, check};
use lockgate_engine::bodies::Upload;
use lockgate_engine::drift::{Filter, Page, Standing, page};
use lockgate_engine::matrix;
use lockgate_engine::where_index::{WHERE, rebuild};
use lockgate_model::facts::SubjectKind;
use lockgate_model::{Limits, Span, UnixMillis};
use lockgate_store::ProjectionStore as _;
use lockgate_store::memory::Spoil;

use crate::world::{World, person};

fn filter() -> Filter {
    Filter { text: String::new(), environment: None, standing: None, old: Span::from_secs(7 * 86_400) }
}

fn seen(world: &World, filter: &Filter) -> Page {
    page(world.engine(), &person("dana"), filter, None, 100).unwrap()
}

/// A world with two machines that deploy, and hand in what they see.
fn deployed() -> World {
    let world = World::starter();
    for name in ["robot", "watcher"] {
        world.enrol(name, SubjectKind::Machine, &["deployers"]);
    }
    world
}

/// Hands in that a release runs in an environment, or does not.
fn report(world: &World, release: &str, environment: &str, outcome: &str) {
    report_by(world, "robot", world.engine().inner().now(), release, environment, outcome);
}

fn report_by(world: &World, by: &str, at: UnixMillis, release: &str, environment: &str, outcome: &str) {
    let at = at.rfc3339_secs();
    let text = format!(
        r#"{{"schema":"https://lockgate.dev/check/v1","name":"runs-in-{environment}","outcome":"{outcome}","checked_at":"{at}","detail":"{by}"}}"#
    );
    let evidence = Evidence { upload: Upload::Inline(text.into_bytes()), form: Form::Report(None), expect: None };
    let checked = vec![check(world.engine(), evidence).unwrap()];
    let submission = attest(world.engine(), person(by), release.parse().unwrap(), checked).unwrap();
    world.engine().run(submission).unwrap();
}

/// How each place stands.
fn standings(page: &Page) -> Vec<(String, &'static str)> {
    let name = |place: &lockgate_engine::drift::Place| format!("{} {}", place.service, place.environment);
    page.places.iter().map(|place| (name(place), place.standing.as_str())).collect()
}

#[test]
fn the_newest_report_since_the_grant_is_compared() {
    let world = deployed();
    world.push("shop/web@1.0.0");
    world.push("shop/web@1.1.0");
    assert!(seen(&world, &filter()).places.is_empty(), "nothing is granted, and nothing reported");
    world.promote("shop/web@1.0.0", "dev").unwrap();
    let stands = |wanted: &str| {
        let page = seen(&world, &filter());
        assert_eq!(standings(&page), [("shop/web dev".to_owned(), wanted)]);
        page
    };
    assert!(stands("not-reported").places[0].reported.is_none());
    world.wait("1h");
    report(&world, "shop/web@1.0.0", "dev", "pass");
    let page = stands("in-step");
    let told = page.places[0].reported.as_ref().unwrap();
    assert_eq!((told.by.as_str(), told.granted, told.at), ("robot", true, world.engine().inner().now()));
    // The same release in another environment is another matter.
    world.wait("1h");
    report(&world, "shop/web@1.0.0", "production", "fail");
    stands("in-step");
    world.wait("1h");
    report(&world, "shop/web@1.1.0", "dev", "pass");
    let page = stands("no-grant");
    assert_eq!(page.places[0].fix().unwrap(), "lockgate promote shop/web@1.1.0 --to dev --reason REASON");
    world.wait("1h");
    world.promote("shop/web@1.1.0", "dev").unwrap();
    // What was reported before the grant says nothing about it.
    stands("not-reported");
    world.wait("1h");
    report(&world, "shop/web@1.0.0", "dev", "warn");
    stands("other-release");
    world.wait("1h");
    // That the granted release does not run is no news where another one does.
    report(&world, "shop/web@1.1.0", "dev", "fail");
    stands("other-release");
    world.wait("1h");
    report(&world, "shop/web@1.0.0", "dev", "fail");
    stands("not-running");
    world.wait("1h");
    report(&world, "shop/web@1.1.0", "dev", "pass");
    stands("in-step");
    world.wait("8d");
    stands("report-old");
}

#[test]
fn a_report_that_cannot_be_read_now_is_not_told_as_none() {
    let world = deployed();
    world.push("shop/web@1.0.0");
    world.promote("shop/web@1.0.0", "dev").unwrap();
    world.wait("1h");
    report(&world, "shop/web@1.0.0", "dev", "pass");
    let evidence = seen(&world, &filter()).places[0].reported.as_ref().unwrap().evidence;
    world.store.spoil(Spoil::DocumentFails(evidence));
    let refused = page(world.engine(), &person("dana"), &filter(), None, 100);
    assert_eq!(refused.map(|_| ()).unwrap_err().code, "STORE_FAILED");
    // What is gone for good counts as none, and an audit names it.
    world.store.spoil(Spoil::DocumentLost(evidence));
    assert_eq!(standings(&seen(&world, &filter())), [("shop/web dev".to_owned(), "not-reported")]);
    world.store.spoil(Spoil::Nothing);
}

#[test]
fn a_report_counts_by_its_own_moment_and_from_whoever_may_deploy() {
    let mut world = deployed();
    world.push("shop/web@1.0.0");
    world.push("shop/web@1.1.0");
    world.promote("shop/web@1.0.0", "dev").unwrap();
    world.promote("shop/web@1.1.0", "dev").unwrap();
    let granted = world.engine().inner().now();
    let after = |hours: u64| UnixMillis(granted.0 + hours * 3_600_000);
    let stands = |world: &World, wanted: &str, by: Option<&str>| {
        let page = seen(world, &filter());
        assert_eq!(standings(&page), [("shop/web dev".to_owned(), wanted)]);
        assert_eq!(page.places[0].reported.as_ref().map(|report| report.by.as_str()), by);
    };
    world.wait("50h");
    // Who may attest and not deploy says nothing here.
    report_by(&world, "ci", after(49), "shop/web@1.0.0", "dev", "pass");
    stands(&world, "not-reported", None);
    report_by(&world, "robot", after(30), "shop/web@1.1.0", "dev", "pass");
    stands(&world, "in-step", Some("robot"));
    // What is handed in later and was seen earlier changes nothing; what is yet to come is of the moment it came.
    report_by(&world, "robot", after(20), "shop/web@1.0.0", "dev", "pass");
    report_by(&world, "robot", after(10), "shop/web@1.1.0", "dev", "fail");
    stands(&world, "in-step", Some("robot"));
    report_by(&world, "watcher", after(900), "shop/web@1.0.0", "dev", "pass");
    stands(&world, "other-release", Some("watcher"));
    assert_eq!(seen(&world, &filter()).places[0].reported.as_ref().unwrap().at, after(50));
    world.wait("1h");
    // Of another release that it does not run takes back no more than the same reporter's word of it.
    report_by(&world, "watcher", after(51), "shop/web@1.0.0", "dev", "fail");
    stands(&world, "in-step", Some("robot"));
    world.wait("1h");
    // Where others contradict, the newest pass is shown.
    report_by(&world, "watcher", after(52), "shop/web@1.1.0", "dev", "fail");
    stands(&world, "in-step", Some("robot"));
    // Old is what was seen long ago, whenever it was handed in: robot looked at 30 hours.
    let old = Filter { old: Span::from_secs(22 * 3_600), ..filter() };
    assert_eq!(standings(&seen(&world, &old)), [("shop/web dev".to_owned(), "report-old")]);
    // Made again from the ledger, the index says the same.
    let rows = |world: &World| {
        let mut rows = world.store.projections(WHERE, None, 10_000).unwrap();
        rows.retain(|(key, _)| key.starts_with("runs") || key.starts_with("granted"));
        rows
    };
    let before = rows(&world);
    assert_eq!(before.iter().filter(|(key, _)| key.starts_with("runs")).count(), 6, "{before:?}");
    rebuild(&world.store, &world.engine().governance().unwrap()).unwrap();
    assert_eq!(rows(&world), before);
    world.reopen().unwrap();
    stands(&world, "in-step", Some("robot"));
}

#[test]
fn who_may_deploy_reports_what_runs_and_hands_in_nothing_else() {
    let world = deployed();
    world.push("shop/web@1.0.0");
    let runs = |environment: &str| {
        format!(r#"{{"schema":"https://lockgate.dev/check/v1","name":"runs-in-{environment}","outcome":"pass"}}"#)
    };
    let other = r#"{"schema":"https://lockgate.dev/check/v1","name":"accessibility","outcome":"pass"}"#;
    let undecided = runs("dev").replace("pass", "not-run");
    let long = format!("{}{}", runs("dev"), " ".repeat(64 * 1024));
    let hand_in = |by: &str, reports: &[&str]| {
        let one = |text: &&str| {
            let upload = Upload::Inline(text.as_bytes().to_vec());
            check(world.engine(), Evidence { upload, form: Form::Report(None), expect: None }).unwrap()
        };
        let checked = reports.iter().map(one).collect();
        let submission = attest(world.engine(), person(by), "shop/web@1.0.0".parse().unwrap(), checked).unwrap();
        world.engine().run(submission).map(drop).map_err(|fault| fault.code)
    };
    let (dev, production, moon) = (runs("dev"), runs("production"), runs("moon"));
    assert_eq!(hand_in("robot", &[&dev, &production]), Ok(()));
    let refused: [&[&str]; 6] = [&[], &[other], &[&dev, other], &[&moon], &[&undecided], &[&long]];
    for reports in refused {
        assert_eq!(hand_in("robot", reports), Err("NOT_PERMITTED"), "{} reports", reports.len());
    }
    // With `attest`, whatever it is, though it counts for nothing there.
    assert_eq!(hand_in("ci", &[&dev, other, &moon, &undecided]), Ok(()));
    assert_eq!(hand_in("sam", &[&dev]), Err("NOT_PERMITTED"));
    assert_eq!(hand_in("stranger", &[&dev]), Err("RELEASE_UNKNOWN"));
}

#[test]
fn reports_of_deployers_leave_room_for_other_evidence() {
    let world = deployed();
    world.push("shop/web@1.0.0");
    let hand_in = |by: &str, numbers: std::ops::Range<usize>| {
        let one = |number: usize| {
            let text = format!(
                r#"{{"schema":"https://lockgate.dev/check/v1","name":"runs-in-dev","outcome":"pass","detail":"{number}"}}"#
            );
            let upload = Upload::Inline(text.into_bytes());
            check(world.engine(), Evidence { upload, form: Form::Report(None), expect: None }).unwrap()
        };
        let checked = numbers.map(one).collect();
        let submission = attest(world.engine(), person(by), "shop/web@1.0.0".parse().unwrap(), checked).unwrap();
        world.engine().run(submission).map(drop).map_err(|fault| fault.code)
    };
    let most = Limits::DEFAULT.deployer_reports_per_release;
    assert_eq!(hand_in("robot", 0..most - 1), Ok(()));
    // All of them share it, and a request that asks for more than is left gets nothing.
    assert_eq!(hand_in("watcher", most - 1..most + 1), Err("TOO_MANY_ATTESTATIONS"));
    assert_eq!(hand_in("watcher", most - 1..most), Ok(()));
    assert_eq!(hand_in("robot", most..most + 1), Err("TOO_MANY_ATTESTATIONS"));
    // What is recorded already takes no place, and who may attest has the rest.
    assert_eq!(hand_in("robot", 0..1), Ok(()));
    assert_eq!(hand_in("ci", most..most + 1), Ok(()));
}

#[test]
fn filters_leave_out_and_what_one_may_not_read_is_not_there() {
    let world = deployed();
    for name in ["pay/api", "shop/web"] {
        world.push(&format!("{name}@1.0.0"));
        world.promote(&format!("{name}@1.0.0"), "staging").unwrap();
    }
    world.wait("1h");
    report(&world, "shop/web@1.0.0", "staging", "pass");
    let check = |filter: &Filter, wanted: &[&str]| {
        let page = seen(&world, filter);
        let names: Vec<String> = standings(&page).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, wanted);
    };
    check(&filter(), &["pay/api dev", "pay/api staging", "shop/web dev", "shop/web staging"]);
    check(&Filter { text: "PAY".to_owned(), ..filter() }, &["pay/api dev", "pay/api staging"]);
    check(&Filter { standing: Some(Standing::InStep), ..filter() }, &["shop/web staging"]);
    let dev = Filter { environment: Some("dev".parse().unwrap()), ..filter() };
    check(&dev, &["pay/api dev", "shop/web dev"]);
    let first = page(world.engine(), &person("dana"), &dev, None, 1).unwrap();
    assert_eq!((first.places.len(), first.next.as_ref().unwrap().as_str()), (1, "pay/api"));
    let rest = page(world.engine(), &person("dana"), &dev, first.next.as_ref(), 1).unwrap();
    assert_eq!((rest.places[0].service.as_str(), rest.next.is_none()), ("shop/web", true));
    let nowhere = Filter { environment: Some("moon".parse().unwrap()), ..filter() };
    assert_eq!(page(world.engine(), &person("dana"), &nowhere, None, 1).unwrap_err().code, "ENVIRONMENT_UNKNOWN");
    let stranger = page(world.engine(), &person("stranger"), &filter(), None, 1).unwrap();
    assert!(stranger.places.is_empty() && stranger.next.is_none());
}

#[test]
fn the_matrix_marks_and_finds_what_the_drift_page_tells() {
    let world = deployed();
    for release in ["pay/api@1.0.0", "shop/web@1.0.0", "shop/web@1.1.0"] {
        world.push(release);
    }
    world.promote("shop/web@1.0.0", "dev").unwrap();
    world.promote("pay/api@1.0.0", "dev").unwrap();
    let wanted = matrix::Filter { wanted: Some(matrix::Wanted::Drift), ..matrix::Filter::default() };
    // The services that fit, and how each cell of all of them differs.
    let found = |filter: &matrix::Filter| {
        let page = matrix::page(world.engine(), &person("dana"), filter, None, 10).unwrap();
        let cells =
            page.rows.iter().flat_map(|row| row.cells.iter().map(move |cell| (row.service.to_string(), cell.drift)));
        cells.filter_map(|(service, drift)| Some((service, drift?))).collect::<Vec<_>>()
    };
    let check = |expected: &[(&str, Standing)]| {
        let expected: Vec<_> = expected.iter().map(|(name, standing)| ((*name).to_owned(), *standing)).collect();
        assert_eq!(found(&wanted), expected);
        assert_eq!(found(&matrix::Filter::default()), expected, "a mark stands whatever is filtered by");
        let told = seen(&world, &filter()).places;
        let told = told.iter().filter(|place| place.standing.is_drift());
        assert_eq!(told.map(|place| (place.service.to_string(), place.standing)).collect::<Vec<_>>(), expected);
    };
    check(&[]);
    world.wait("1h");
    report(&world, "shop/web@1.0.0", "dev", "pass");
    report(&world, "pay/api@1.0.0", "dev", "pass");
    check(&[]);
    world.wait("1h");
    report(&world, "pay/api@1.0.0", "dev", "fail");
    check(&[("pay/api", Standing::NotRunning)]);
    report(&world, "shop/web@1.1.0", "dev", "pass");
    check(&[("pay/api", Standing::NotRunning), ("shop/web", Standing::NoGrant)]);
    world.promote("shop/web@1.1.0", "dev").unwrap();
    world.wait("1h");
    report(&world, "shop/web@1.0.0", "dev", "pass");
    check(&[("pay/api", Standing::NotRunning), ("shop/web", Standing::Other)]);
    // Where nothing is granted at all.
    report(&world, "pay/api@1.0.0", "production", "pass");
    check(&[("pay/api", Standing::NotRunning), ("pay/api", Standing::NoGrant), ("shop/web", Standing::Other)]);
    let elsewhere = matrix::Filter { environment: Some("staging".parse().unwrap()), ..wanted.clone() };
    assert!(found(&elsewhere).is_empty());
    // A release that runs nowhere any more drifts nowhere.
    world.wait("1h");
    for (release, environment) in [("shop/web@1.1.0", "dev"), ("pay/api@1.0.0", "dev")] {
        report(&world, release, environment, "pass");
    }
    report(&world, "pay/api@1.0.0", "production", "fail");
    check(&[]);
}
