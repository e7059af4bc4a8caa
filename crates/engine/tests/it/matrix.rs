//! The matrix with its filters, and the figures that are counted from the ledger.

use lockgate_engine::matrix::{Filter, Page, Wanted, page};
use lockgate_engine::metrics::{Cause, figures, gather};
use lockgate_model::{Span, UnixMillis};

use crate::world::{World, person};

fn seen(world: &World, filter: &Filter, after: Option<&str>, most: usize) -> Page {
    let after = after.map(|after| after.parse().unwrap());
    page(world.engine(), &person("dana"), filter, after.as_ref(), most).unwrap()
}

fn names(page: &Page) -> Vec<&str> {
    page.rows.iter().map(|row| row.service.as_str()).collect()
}

#[test]
fn filters_and_pages_go_together() {
    let world = World::starter();
    for name in ["pay/api", "shop/api", "shop/web"] {
        world.push(&format!("{name}@1.0.0"));
    }
    world.promote("pay/api@1.0.0", "staging").unwrap();
    let (id, status) = world.promote("shop/web@1.0.0", "production").unwrap();
    assert_eq!(status, "pending");

    let all = seen(&world, &Filter::default(), None, 2);
    assert_eq!((names(&all), all.next.as_ref().unwrap().as_str()), (vec!["pay/api", "shop/api"], "shop/api"));
    let rest = seen(&world, &Filter::default(), Some("shop/api"), 2);
    assert_eq!((names(&rest), rest.next.is_none(), rest.open), (vec!["shop/web"], true, 1));
    let text = Filter { text: " SHOP/ ".to_owned(), ..Filter::default() };
    let one = seen(&world, &text, None, 1);
    assert_eq!((names(&one), one.next.as_ref().unwrap().as_str()), (vec!["shop/api"], "shop/api"));
    // A page that is exactly full has no next one where nothing follows.
    assert!(seen(&world, &text, None, 2).next.is_none());

    let wanted = |wanted, environment: Option<&str>| Filter {
        wanted: Some(wanted),
        environment: environment.map(|name| name.parse().unwrap()),
        ..Filter::default()
    };
    let open = seen(&world, &wanted(Wanted::Open, None), None, 10);
    assert_eq!(names(&open), ["shop/web"]);
    let cell = open.rows[0].cells.last().unwrap();
    let waits = cell.open.as_ref().unwrap();
    assert_eq!((waits.promotion, waits.approvals, waits.needed), (id, 0, Some(1)));
    assert!(cell.running.is_none() && open.rows[0].cells[1].same && !open.rows[0].cells[1].behind);
    assert!(names(&seen(&world, &wanted(Wanted::Open, Some("dev")), None, 10)).is_empty());
    assert!(names(&seen(&world, &wanted(Wanted::Behind, None), None, 10)).is_empty());
    assert!(names(&seen(&world, &wanted(Wanted::Frozen, None), None, 10)).is_empty());

    world.push("shop/web@1.1.0");
    world.promote("shop/web@1.1.0", "dev").unwrap();
    let behind = seen(&world, &wanted(Wanted::Behind, None), None, 10);
    assert_eq!(names(&behind), ["shop/web"]);
    assert!(behind.rows[0].cells[1].behind && !behind.rows[0].cells[1].same);
    assert!(names(&seen(&world, &wanted(Wanted::Behind, Some("dev")), None, 10)).is_empty());

    let old = wanted(Wanted::Old(Span::from_secs(86_400)), Some("staging"));
    assert!(names(&seen(&world, &old, None, 10)).is_empty());
    world.wait("2d");
    assert_eq!(names(&seen(&world, &old, None, 10)), ["pay/api", "shop/web"]);
    let nowhere = Filter { environment: Some("moon".parse().unwrap()), ..Filter::default() };
    let fault = page(world.engine(), &person("dana"), &nowhere, None, 10).unwrap_err();
    assert_eq!(fault.code, "ENVIRONMENT_UNKNOWN");
    // Somebody unknown sees nothing, and no name to go on from.
    let stranger = page(world.engine(), &person("stranger"), &Filter::default(), None, 1).unwrap();
    assert!(stranger.rows.is_empty() && stranger.next.is_none() && stranger.open == 0);
}

#[test]
fn figures_are_what_the_ledger_tells() {
    let world = World::starter();
    let began = world.engine().inner().now();
    world.push("shop/web@1.0.0");
    let (id, _) = world.promote("shop/web@1.0.0", "production").unwrap();
    world.wait("1h");
    world.approve(id, "sam").unwrap();
    assert_eq!(world.status(id), "granted");

    let gathered = gather(world.engine(), began).unwrap();
    let sam = figures(world.engine(), &person("sam"), &gathered).unwrap();
    assert!(sam.complete && sam.entries > 0 && sam.promotions == 3, "{sam:?}");
    let production = sam.environments.last().unwrap();
    assert_eq!(
        (production.environment.as_str(), production.grants, production.p50_secs, production.failed),
        ("production", 1, Some(3_600), 0)
    );
    let approval = sam.waiting.iter().find(|row| row.cause == Cause::Approval).unwrap();
    assert_eq!((approval.secs, approval.promotions), (3_600, 1));
    assert_eq!(sam.waiting.iter().map(|row| row.secs).sum::<u64>(), 3_600);
    let approvers = sam.approvers.unwrap();
    assert_eq!((approvers[0].person.as_str(), approvers[0].approvals), ("sam", 1));
    assert_eq!(sam.weeks.iter().map(|week| week.grants).sum::<u64>(), 3);

    // Who may not audit is not told who approves; who may read nothing is told of nothing.
    assert!(figures(world.engine(), &person("dana"), &gathered).unwrap().approvers.is_none());
    let stranger = figures(world.engine(), &person("stranger"), &gathered).unwrap();
    assert_eq!((stranger.promotions, stranger.approvers, stranger.freezes), (0, None, 0));
    // What happened before is not counted.
    world.wait("1h");
    let later = gather(world.engine(), UnixMillis(world.engine().inner().now().0)).unwrap();
    assert_eq!(figures(world.engine(), &person("sam"), &later).unwrap().promotions, 0);
}
