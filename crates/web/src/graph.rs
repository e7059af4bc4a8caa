//! The pipeline as a graph: environments as boxes, what leads from one into another as lines, drawn on the server.
//!
//! Environments stand in columns, each to the right of all that it comes from. A line that passes a column has a place
//! of its own in it, so that none runs behind a box that it does not belong to. The tables behind the drawing say all.

use std::collections::BTreeMap;

use lockgate_api::client::query_value;
use lockgate_api::wire::MatrixReply;
use lockgate_model::{EnvName, GateName};
use maud::{Markup, html};

use crate::chart::framed;
use crate::matrix::{Moment, summary};
use crate::wording::plural;

/// How wide a box is at least, in units of the drawing.
const WIDTH: u64 = 168;
/// How wide one character of a name is at most, on average.
const CHARACTER: u64 = 8;
/// How high a box is.
const HEIGHT: u64 = 92;
/// How high one line of text in it is.
const TEXT: u64 = 20;
/// How much room is between two columns.
const ACROSS: u64 = 72;
/// How much room is between two boxes of a column.
const DOWN: u64 = 20;
/// How much room is around all.
const EDGE: u64 = 8;
/// How long the head of an arrow is.
const ARROW: u64 = 9;
/// The most boxes, and the most lines, of one drawing; where there are more, the tables say all of it.
const DRAWN_MAX: usize = 200;

/// One environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Which.
    pub environment: EnvName,
    /// How many services run something there; absent where there are too many to count.
    pub running: Option<u64>,
    /// How many of them are behind an environment that they come from; absent likewise.
    pub behind: Option<u64>,
    /// How many promotions into it are open.
    pub open: u64,
}

/// What leads from one environment into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Where releases come from.
    pub from: EnvName,
    /// Where they get in.
    pub into: EnvName,
    /// Whether the policy set says that the second one comes after the first.
    pub comes: bool,
    /// The gates that ask for a certificate of the first.
    pub gates: Vec<GateName>,
    /// How many services run an older version in the second; absent where there are too many to count.
    pub behind: Option<u64>,
}

/// The environments and what leads into each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// In policy order: each after those that it comes after.
    pub nodes: Vec<Node>,
    /// In the same order.
    pub edges: Vec<Edge>,
    /// Whether more promotions are open than were counted.
    pub open_cut: bool,
}

/// The page's content; the summary is that of the matrix.
pub fn content(graph: &Graph, matrix: &MatrixReply, moment: Moment) -> Markup {
    let tables = html! { (environments(graph)) (edges(graph)) };
    html! {
        h1 { "Pipeline" }
        (summary(matrix, moment))
        p { a href="/" { "As a matrix" } }
        (framed("graph", "Environments", &tables, &drawing(graph)))
    }
}

fn drawing(graph: &Graph) -> Markup {
    if graph.nodes.len() > DRAWN_MAX || graph.edges.len() > DRAWN_MAX {
        return html! { p.quiet { "There are too many environments to draw; the tables have them all." } };
    }
    let layout = Layout::of(graph);
    let (width, height) = layout.size();
    let words: Vec<String> = graph.nodes.iter().map(|node| said(graph, node)).collect();
    html! {
        svg.graph width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="img"
            aria-labelledby="graph-title graph-words" {
            title id="graph-words" { (words.join("; ")) }
            @for edge in &graph.edges { (line(&layout, edge)) }
            @for node in &graph.nodes { (block(&layout, node, graph.open_cut)) }
        }
        ul.legend {
            li { span aria-hidden="true" { "── " } "line: a gate asks that a release was certified there" }
            li { span aria-hidden="true" { "╌╌ " } "dashes: it comes from there, and no gate asks for it" }
        }
    }
}

/// An environment in words, with where it comes from.
fn said(graph: &Graph, node: &Node) -> String {
    let into = graph.edges.iter().filter(|edge| edge.into == node.environment);
    let sources: Vec<&str> = into.map(|edge| edge.from.as_str()).collect();
    let from = if sources.is_empty() { String::new() } else { format!(" from {}", sources.join(" and ")) };
    let [runs, behind, open] = lines(node, graph.open_cut);
    format!("{}{from}: {runs}, {behind}, {open}", node.environment)
}

/// What a box says under its name.
fn lines(node: &Node, open_cut: bool) -> [String; 3] {
    let more = if open_cut { "+" } else { "" };
    [
        match node.running {
            Some(count) => format!("{count} {}", plural(count, "service runs", "services run")),
            None => "services not counted".to_owned(),
        },
        match node.behind {
            Some(count) => format!("{count} behind"),
            None => "behind not counted".to_owned(),
        },
        format!("{}{more} {}", node.open, plural(node.open, "open promotion", "open promotions")),
    ]
}

fn block(layout: &Layout, node: &Node, open_cut: bool) -> Markup {
    let Some((x, y)) = layout.corner(&node.environment) else { return html! {} };
    html! {
        rect.node x=(x) y=(y) width=(layout.width) height=(HEIGHT) rx="6" {}
        text.title x=(x + 12) y=(y + TEXT) { (node.environment.as_str()) }
        @for (words, place) in lines(node, open_cut).iter().zip(2u64..) {
            text x=(x + 12) y=(y + TEXT * place) { (words) }
        }
    }
}

fn line(layout: &Layout, edge: &Edge) -> Markup {
    let Some(points) = layout.points(edge) else { return html! {} };
    let Some((x, y)) = points.last().copied() else { return html! {} };
    let written = |points: &[(u64, u64)]| points.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ");
    let back = x.saturating_sub(ARROW);
    html! {
        polyline.edge.unasked[edge.gates.is_empty()] points=(written(&points)) {}
        polygon.arrow points=(written(&[(back, y.saturating_sub(5)), (back, y + 5), (x, y)])) {}
    }
}

/// Where everything stands.
struct Layout {
    /// How wide a box is.
    width: u64,
    /// Of each environment its column and its place in it, both from 0.
    places: BTreeMap<EnvName, (u64, u64)>,
    /// Of each line that passes columns the places that it has in them, from left to right.
    passing: BTreeMap<(EnvName, EnvName), Vec<(u64, u64)>>,
    /// How many places of each column are taken.
    taken: BTreeMap<u64, u64>,
}

impl Layout {
    fn of(graph: &Graph) -> Self {
        let longest = graph.nodes.iter().map(|node| node.environment.as_str().len() as u64).max().unwrap_or(0);
        let width = (longest * CHARACTER + 24).max(WIDTH);
        let mut layout = Self { width, places: BTreeMap::new(), passing: BTreeMap::new(), taken: BTreeMap::new() };
        // What an environment comes after stands before it, so that its column is known by then.
        for node in &graph.nodes {
            let into = graph.edges.iter().filter(|edge| edge.comes && edge.into == node.environment);
            let before = into.filter_map(|edge| layout.places.get(&edge.from)).map(|(column, _)| column + 1).max();
            let column = before.unwrap_or(0);
            let place = layout.take(column);
            layout.places.insert(node.environment.clone(), (column, place));
        }
        for edge in &graph.edges {
            let ends = layout.places.get(&edge.from).copied().zip(layout.places.get(&edge.into).copied());
            let Some(((from, _), (into, _))) = ends else { continue };
            let places: Vec<(u64, u64)> = (from + 1..into).map(|column| (column, layout.take(column))).collect();
            layout.passing.insert((edge.from.clone(), edge.into.clone()), places);
        }
        layout
    }

    /// The next free place of a column.
    fn take(&mut self, column: u64) -> u64 {
        let taken = self.taken.entry(column).or_default();
        *taken += 1;
        *taken - 1
    }

    fn most(&self) -> u64 {
        self.taken.values().copied().max().unwrap_or(0)
    }

    fn size(&self) -> (u64, u64) {
        let columns = self.taken.len() as u64;
        let along = |count: u64, one: u64, room: u64| (count * (one + room)).saturating_sub(room) + 2 * EDGE;
        (along(columns, self.width, ACROSS), along(self.most(), HEIGHT, DOWN))
    }

    /// The upper left corner of a place. A column that has fewer than others stands in the middle.
    fn at(&self, (column, place): (u64, u64)) -> (u64, u64) {
        let taken = self.taken.get(&column).copied().unwrap_or(0);
        let above = self.most().saturating_sub(taken) * (HEIGHT + DOWN) / 2;
        (EDGE + column * (self.width + ACROSS), EDGE + above + place * (HEIGHT + DOWN))
    }

    fn corner(&self, environment: &EnvName) -> Option<(u64, u64)> {
        self.places.get(environment).map(|place| self.at(*place))
    }

    /// The corners of a line: from the right of one box, straight through each place that it passes, to the left of the
    /// other.
    fn points(&self, edge: &Edge) -> Option<Vec<(u64, u64)>> {
        let (from, into) = (self.corner(&edge.from)?, self.corner(&edge.into)?);
        let middle = |(x, y): (u64, u64)| (x, y + HEIGHT / 2);
        let right = |(x, y): (u64, u64)| (x + self.width, y + HEIGHT / 2);
        let mut points = vec![right(from)];
        for place in self.passing.get(&(edge.from.clone(), edge.into.clone())).into_iter().flatten() {
            let corner = self.at(*place);
            points.extend([middle(corner), right(corner)]);
        }
        // Level at the end, as the head of its arrow is.
        let (x, y) = middle(into);
        points.extend([(x.saturating_sub(2 * ARROW), y), (x, y)]);
        Some(points)
    }
}

fn counted(count: Option<u64>) -> String {
    count.map_or_else(|| "not counted".to_owned(), |count| count.to_string())
}

fn environments(graph: &Graph) -> Markup {
    html! {
        table {
            caption.quiet { "Environments, with what is in each" }
            thead { tr {
                th scope="col" { "Environment" }
                th.number scope="col" { "Services" }
                th.number scope="col" { "Behind" }
                th.number scope="col" { "Open promotions" }
            } }
            tbody { @for node in &graph.nodes {
                tr {
                    th scope="row" {
                        @let name = node.environment.as_str();
                        a href={ "/?environment=" (query_value(name)) } { (name) }
                    }
                    td.number { (counted(node.running)) }
                    td.number { (counted(node.behind)) }
                    td.number { (node.open) @if graph.open_cut { "+" } }
                }
            } }
        }
    }
}

fn edges(graph: &Graph) -> Markup {
    html! {
        table {
            caption.quiet { "What leads from one environment into another, by the active policy set" }
            thead { tr {
                th scope="col" { "Into" }
                th scope="col" { "Comes from" }
                th scope="col" { "Certified there, as asked by" }
                th.number scope="col" { "Behind" }
            } }
            tbody {
                @for edge in &graph.edges {
                    tr {
                        th scope="row" { (edge.into.as_str()) }
                        td { (edge.from.as_str()) @if !edge.comes { " " span.quiet { "only certified there" } } }
                        td {
                            @if edge.gates.is_empty() { span.quiet { "no gate" } }
                            @for (place, gate) in edge.gates.iter().enumerate() {
                                @if place > 0 { ", " }
                                (gate.to_string())
                            }
                        }
                        td.number { (counted(edge.behind)) }
                    }
                }
                @if graph.edges.is_empty() { tr { td.quiet colspan="4" { "No environment comes after another." } } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> EnvName {
        text.parse().unwrap()
    }

    fn edge(from: &str, into: &str, gates: &[&str]) -> Edge {
        let gates = gates.iter().map(|gate| gate.parse().unwrap()).collect();
        Edge { from: name(from), into: name(into), comes: true, gates, behind: Some(2) }
    }

    /// Two ways from dev to production, and one past both.
    fn diamond() -> Graph {
        let node = |text: &str, running: Option<u64>, behind: Option<u64>| {
            let environment = name(text);
            Node { environment, running, behind, open: 1 }
        };
        Graph {
            nodes: vec![
                node("dev", Some(1), Some(1)),
                node("qa", Some(2000), None),
                node("load", None, None),
                node("production", Some(0), Some(0)),
            ],
            edges: vec![
                edge("dev", "qa", &["order"]),
                edge("dev", "load", &[]),
                edge("dev", "production", &["order"]),
                edge("load", "production", &["order", "soak"]),
                edge("qa", "production", &["order"]),
            ],
            open_cut: false,
        }
    }

    #[test]
    fn a_line_that_passes_a_column_has_a_place_of_its_own() {
        let graph = diamond();
        let layout = Layout::of(&graph);
        let place = |text: &str| layout.places.get(&name(text)).copied().unwrap();
        assert_eq!([place("dev"), place("qa"), place("load"), place("production")], [(0, 0), (1, 0), (1, 1), (2, 0)]);
        assert_eq!(layout.passing.get(&(name("dev"), name("production"))).unwrap(), &[(1, 2)]);
        // Three columns of at most three places; what stands alone in one stands in the middle.
        assert_eq!(layout.size(), (3 * 168 + 2 * 72 + 16, 3 * 92 + 2 * 20 + 16));
        assert_eq!((layout.corner(&name("dev")), layout.corner(&name("qa"))), (Some((8, 120)), Some((248, 8))));
        assert_eq!(
            layout.points(&graph.edges[2]).unwrap(),
            [(176, 166), (248, 278), (416, 278), (470, 166), (488, 166)],
            "below both boxes"
        );
        assert_eq!(layout.points(&graph.edges[0]).unwrap(), [(176, 166), (230, 54), (248, 54)]);
    }

    #[test]
    fn a_drawing_says_in_words_and_in_tables_what_it_shows() {
        let graph = diamond();
        let drawn = drawing(&graph).into_string();
        let count = |text: &str, word: &str| text.matches(word).count();
        let parts = ["<rect", "<polyline", "unasked"].map(|part| count(&drawn, part));
        assert_eq!(parts, [4, 5, 1], "{drawn}");
        for wanted in [
            "dev: 1 service runs, 1 behind, 1 open promotion; ",
            "qa from dev: 2000 services run, behind not counted, 1 open promotion; ",
            "load from dev: services not counted, behind not counted, 1 open promotion; ",
            "production from dev and load and qa: 0 services run, 0 behind, 1 open promotion</title>",
            "aria-labelledby=\"graph-title graph-words\"",
        ] {
            assert!(drawn.contains(wanted), "{wanted}: {drawn}");
        }
        assert!(!drawn.contains(" style=") && !drawn.contains("<script"), "{drawn}");
        let tables = format!("{}{}", environments(&graph).into_string(), edges(&graph).into_string());
        for wanted in ["href=\"/?environment=load\"", ">not counted<", "order, soak", "no gate"] {
            assert!(tables.contains(wanted), "{wanted}: {tables}");
        }
        assert_eq!(count(&tables, "<tr>"), 2 + 4 + 5, "{tables}");
    }

    #[test]
    fn what_no_drawing_holds_is_in_the_tables() {
        let mut graph = diamond();
        graph.edges = vec![edge("dev", "qa", &[]); DRAWN_MAX + 1];
        assert!(drawing(&graph).into_string().contains("too many environments to draw"));
        graph.edges.clear();
        assert_eq!(Layout::of(&graph).size(), (168 + 16, 4 * 92 + 3 * 20 + 16), "one column");
        assert!(edges(&graph).into_string().contains("No environment comes after another"));
        // A gate may ask for a certificate from an environment that stands later: its line leads back.
        let back = Edge { comes: false, ..edge("production", "dev", &["order"]) };
        graph.edges.push(back.clone());
        assert_eq!(Layout::of(&graph).points(&back).unwrap().len(), 3);
        assert!(edges(&graph).into_string().contains("only certified there"));
        graph.open_cut = true;
        assert!(drawing(&graph).into_string().contains("1+ open promotion"));
    }
}
