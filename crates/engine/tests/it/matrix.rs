//! The matrix with its filters, and the figures that are counted from the ledger.

use lockgate_engine::inbox::promotions;
use lockgate_engine::matrix::{Filter, Node, Page, Wanted, graph, page};
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
    assert!(names(&seen(&world, &wanted(Wanted::Behind(0), None), None, 10)).is_empty());
    assert!(names(&seen(&world, &wanted(Wanted::Frozen, None), None, 10)).is_empty());

    world.push("shop/web@1.1.0");
    world.promote("shop/web@1.1.0", "dev").unwrap();
    let behind = seen(&world, &wanted(Wanted::Behind(0), None), None, 10);
    assert_eq!(names(&behind), ["shop/web"]);
    assert!(behind.rows[0].cells[1].behind && !behind.rows[0].cells[1].same);
    assert_eq!(behind.rows[0].cells[1].behind_by, Some(1));
    assert!(names(&seen(&world, &wanted(Wanted::Behind(0), Some("dev")), None, 10)).is_empty());
    assert!(names(&seen(&world, &wanted(Wanted::Behind(1), None), None, 10)).is_empty());
    // A release that was published and let in nowhere is one that it is behind by, too.
    world.push("shop/web@1.0.1");
    world.push("shop/web@1.2.0");
    let behind = seen(&world, &wanted(Wanted::Behind(1), None), None, 10);
    assert_eq!((names(&behind), behind.rows[0].cells[1].behind_by), (vec!["shop/web"], Some(2)));
    assert_eq!((behind.rows[0].cells[0].behind_by, behind.rows[0].cells[2].behind_by), (None, None));
    assert!(names(&seen(&world, &wanted(Wanted::Behind(2), None), None, 10)).is_empty());

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
fn a_graph_counts_only_what_its_reader_may_read() {
    let world = World::starter();
    for name in ["pay/api@1.0.0", "shop/web@1.0.0", "shop/web@1.1.0"] {
        world.push(name);
    }
    world.promote("pay/api@1.0.0", "dev").unwrap();
    world.promote("shop/web@1.0.0", "production").unwrap();
    world.promote("shop/web@1.1.0", "dev").unwrap();
    let counted = |reader: &str| -> Vec<(String, Option<u64>, Option<u64>, u64)> {
        let found = graph(world.engine(), &person(reader)).unwrap();
        let row = |node: Node| (node.environment.to_string(), node.running, node.behind, node.open);
        found.nodes.into_iter().map(row).collect()
    };
    let node = |name: &str, running: u64, behind: u64, open: u64| (name.to_owned(), Some(running), Some(behind), open);
    assert_eq!(counted("dana"), [node("dev", 2, 0, 0), node("staging", 1, 1, 0), node("production", 0, 0, 1)]);
    assert_eq!(counted("stranger"), [node("dev", 0, 0, 0), node("staging", 0, 0, 0), node("production", 0, 0, 0)]);
    let edges = graph(world.engine(), &person("dana")).unwrap().edges;
    let edges: Vec<_> = edges.iter().map(|edge| (edge.from.as_str(), edge.into.as_str(), edge.behind)).collect();
    assert_eq!(edges, [("dev", "staging", Some(1)), ("staging", "production", Some(0))]);
}

#[test]
fn what_waits_for_the_reader_is_what_their_inbox_has() {
    let world = World::starter();
    for name in ["pay/api", "shop/api", "shop/web"] {
        world.push(&format!("{name}@1.0.0"));
    }
    world.promote("shop/api@1.0.0", "staging").unwrap();
    let (first, _) = world.promote("shop/web@1.0.0", "production").unwrap();
    let (second, _) = world.promote("pay/api@1.0.0", "production").unwrap();
    let mine = |name: &str, environment: Option<&str>, after: Option<&str>, most: usize| {
        let environment = environment.map(|name| name.parse().unwrap());
        let filter = Filter { wanted: Some(Wanted::Mine), environment, ..Filter::default() };
        page(world.engine(), &person(name), &filter, after.map(|after| after.parse().unwrap()).as_ref(), most).unwrap()
    };
    let waiting = |name: &str| {
        let (found, _) = promotions(world.engine(), &person(name), None, 50).unwrap();
        found.iter().map(|one| one.promotion.request.promotion).collect::<Vec<_>>()
    };
    let open = |page: &Page| -> Vec<_> {
        let cells = page.rows.iter().flat_map(|row| &row.cells);
        cells.filter_map(|cell| cell.open.as_ref()).map(|open| (open.promotion, open.mine)).collect()
    };
    let page = mine("sam", None, None, 10);
    assert_eq!((names(&page), open(&page)), (vec!["pay/api", "shop/web"], vec![(second, true), (first, true)]));
    assert_eq!(waiting("sam"), [first, second]);
    let ends = page.rows[0].cells.last().unwrap().open.as_ref().unwrap().expires_at;
    assert!(ends.unwrap() > world.engine().inner().now());
    // Who asked sees that it is open, and that it does not wait for them.
    assert!(mine("dana", None, None, 10).rows.is_empty() && waiting("dana").is_empty());
    assert!(mine("sam", Some("staging"), None, 10).rows.is_empty());
    // A page at a time, as every other filter.
    let page = mine("sam", None, None, 1);
    assert_eq!((names(&page), page.next.as_ref().unwrap().as_str()), (vec!["pay/api"], "pay/api"));
    assert_eq!(names(&mine("sam", None, Some("pay/api"), 1)), ["shop/web"]);
    // What they have approved waits for them no longer.
    world.approve(second, "sam").unwrap();
    assert_eq!(names(&mine("sam", None, None, 10)), ["shop/web"]);
    // Elsewhere nothing is decided anew, and nothing is said of it.
    assert_eq!(open(&seen(&world, &Filter::default(), None, 10)), [(first, false)]);
}

#[test]
fn what_is_pinned_comes_first_and_once() {
    let world = World::starter();
    for name in ["a/one", "b/two", "c/three", "d/four"] {
        world.push(&format!("{name}@1.0.0"));
    }
    let pinned = |text: &str, most: usize, after: Option<&str>| {
        let pinned = ["d/four", "b/two", "gone/away"].iter().map(|name| name.parse().unwrap()).collect();
        seen(&world, &Filter { text: text.to_owned(), pinned, ..Filter::default() }, after, most)
    };
    assert_eq!(names(&pinned("", 10, None)), ["b/two", "d/four", "a/one", "c/three"]);
    let page = pinned("", 3, None);
    assert_eq!((names(&page), page.next.as_ref().unwrap().as_str()), (vec!["b/two", "d/four", "a/one"], "a/one"));
    let rest = pinned("", 3, Some("a/one"));
    assert_eq!((names(&rest), rest.next.is_none()), (vec!["c/three"], true));
    // It has to fit like any other; and a page that is full of them still says where to go on.
    assert_eq!(names(&pinned("d/", 10, None)), ["d/four"]);
    let page = pinned("", 1, None);
    assert_eq!((names(&page), page.next.as_ref().unwrap().as_str()), (vec!["b/two", "d/four", "a/one"], "a/one"));
    // A name tells a stranger nothing.
    let filter = Filter { pinned: std::iter::once("a/one".parse().unwrap()).collect(), ..Filter::default() };
    assert!(page_of(&world, "stranger", &filter).rows.is_empty());
}

fn page_of(world: &World, name: &str, filter: &Filter) -> Page {
    page(world.engine(), &person(name), filter, None, 10).unwrap()
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
