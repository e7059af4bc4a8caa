//! One service: what runs and ran where, its releases, going forward and back.

use lockgate_api::client::query_value;
use lockgate_api::wire::{EnvironmentRow, PromotionLine, RanRow, ReleaseLine, ServiceReply};
use lockgate_model::{EnvName, ReleaseName, UnixMillis};
use maud::{Markup, html};

use crate::action::{problem, reason, refused};
use crate::wording::{ago, command, outcome, promotion_kind, visible};
use crate::{Rights, lanes};

/// The page's content; `rights` has one element for each environment, in the same order.
pub fn content(service: &ServiceReply, rights: &[Rights], now: UnixMillis) -> Markup {
    let name = service.service.as_str();
    html! {
        p.crumbs { a href="/" { "Pipeline" } " / " (name) }
        h1 { (name) }
        (environments(service, now))
        (lanes::lanes(&service.environments, now))
        div.columns {
            div {
                (releases(service, now))
                (promotions(&service.promotions, now))
            }
            div {
                (promote(service, rights))
                @for (row, rights) in service.environments.iter().zip(rights) { (rollback(row, rights, now)) }
                h2 { "On the command line" }
                (command("cli-status", &format!("lockgate status {name}")))
                (command("cli-history", &format!("lockgate history --service {name}")))
                p { a href={ "/timeline?service=" (query_value(name)) } { "Everything that happened to it" } }
            }
        }
    }
}

/// The address of a release's page.
pub fn release_link(release: &ReleaseName) -> String {
    format!("/releases/{release}")
}

/// The address of the page that compares two releases, and what the gates of an environment make of it, if there is one.
pub fn diff_link(from: &ReleaseName, to: &ReleaseName, environment: Option<&EnvName>) -> String {
    let releases = format!("/diff?from={}&to={}", query_value(&from.to_string()), query_value(&to.to_string()));
    match environment {
        Some(environment) => format!("{releases}&environment={}", query_value(environment.as_str())),
        None => releases,
    }
}

fn environments(service: &ServiceReply, now: UnixMillis) -> Markup {
    let open = |row: &EnvironmentRow| {
        let waits = |one: &&PromotionLine| matches!(one.status.as_str(), "pending" | "denied");
        let here: Vec<PromotionLine> =
            service.promotions.iter().filter(|one| one.environment == row.environment).filter(waits).cloned().collect();
        here
    };
    html! {
        div.scroll {
            table {
                caption.quiet { "What runs in each environment" }
                thead { tr {
                    th scope="col" { "Environment" } th scope="col" { "Runs" } th scope="col" { "Since" }
                    th scope="col" { "On its way" }
                } }
                tbody {
                    @for row in &service.environments {
                        tr id={ "env-" (row.environment.as_str()) } data-row {
                            th scope="row" { (row.environment.as_str()) }
                            @match &row.running {
                                Some(running) => {
                                    td {
                                        a href=(release_link(&running.release)) { (running.release.version.to_string()) }
                                        " by " a href={ "/promotions/" (running.promotion) } { (running.promotion) }
                                    }
                                    td { (ago(running.since, now)) }
                                },
                                None => { td { span.quiet { "nothing" } } td {} },
                            }
                            td {
                                @for one in open(row) {
                                    a href={ "/promotions/" (one.promotion) } {
                                        (one.promotion) " " (one.release.version.to_string())
                                    }
                                    " " (outcome(&one.status)) " "
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn releases(service: &ServiceReply, now: UnixMillis) -> Markup {
    let line = |one: &ReleaseLine| {
        html! {
            tr id={ "release-" (one.release.version.to_string()) } data-row {
                th scope="row" { a href=(release_link(&one.release)) { (one.release.version.to_string()) } }
                td { (ago(one.published_at, now)) " by " (one.published_by.as_str()) }
                td.number { (one.evidence) }
                td {
                    @for name in &one.ran_in {
                        @if one.runs_in.contains(name) {
                            span.state.good { span.icon aria-hidden="true" { "▶" } " runs in " (name.as_str()) } " "
                        } @else {
                            span.quiet { "ran in " (name.as_str()) } " "
                        }
                    }
                    @if one.ran_in.is_empty() { span.quiet { "nowhere yet" } }
                }
            }
        }
    };
    html! {
        section aria-labelledby="releases-title" {
            h2 id="releases-title" { "Releases" }
            @if service.releases.is_empty() {
                div.empty { p { "No more releases." } (command("cli-none-releases", &format!("lockgate push FILE --service {} --version VERSION", service.service))) }
            } @else {
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Release" } th scope="col" { "Published" }
                        th.number scope="col" { "Evidence" } th scope="col" { "Where" }
                    } }
                    tbody { @for one in &service.releases { (line(one)) } }
                } }
            }
            @if let Some(next) = service.next {
                p { a.more href={ "/services/" (service.service.as_str()) "?before=" (next) } { "Older releases" } }
            }
        }
    }
}

/// A table of promotions, newest first.
pub fn promotions(promotions: &[PromotionLine], now: UnixMillis) -> Markup {
    html! {
        section aria-labelledby="promotions-title" {
            h2 id="promotions-title" { "Promotions" }
            @if promotions.is_empty() {
                div.empty { p { "None was asked for." } (command("cli-none-promotions", "lockgate promote SERVICE@VERSION --to ENVIRONMENT --reason REASON")) }
            } @else {
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Promotion" } th scope="col" { "What" } th scope="col" { "Stands" }
                        th scope="col" { "Asked" } th scope="col" { "Granted" }
                    } }
                    tbody {
                        @for one in promotions {
                            tr id={ "promotion-" (one.promotion) } data-row {
                                th scope="row" { a href={ "/promotions/" (one.promotion) } { (one.promotion) } }
                                td {
                                    (one.release.version.to_string()) " into " (one.environment.as_str())
                                    " " span.quiet { (promotion_kind(one.kind)) }
                                }
                                td { (outcome(&one.status)) }
                                td { (ago(one.requested_at, now)) " by " (one.requester.as_str()) ": " (visible(&one.reason)) }
                                td { @if let Some(granted) = one.granted_at { (ago(granted, now)) } }
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn promote(service: &ServiceReply, rights: &[Rights]) -> Markup {
    let allowed = rights.iter().any(|rights| rights.may("request"));
    let newest = service.releases.first().map(|one| one.release.to_string());
    let newest = newest.unwrap_or_else(|| format!("{}@VERSION", service.service));
    html! {
        section aria-labelledby="promote-title" {
            h2 id="promote-title" { "Promote" }
            @if service.releases.is_empty() {
                p.quiet { "Nothing on this page could be promoted." }
            } @else if allowed {
                form.act data-act="/v1/promotions" data-method="POST" data-then="promotion" method="post" {
                    label for="promote-release" { "Release" }
                    select id="promote-release" name="release" {
                        @for one in &service.releases { option value=(one.release) { (one.release.version.to_string()) } }
                    }
                    label for="promote-environment" { "Into" }
                    select id="promote-environment" name="environment" {
                        @for (row, rights) in service.environments.iter().zip(rights) {
                            @if rights.may("request") {
                                option value=(row.environment.as_str()) { (row.environment.as_str()) }
                            } @else {
                                option value=(row.environment.as_str()) disabled {
                                    (row.environment.as_str()) ": not you, " (visible(&rights.who("request")))
                                }
                            }
                        }
                    }
                    (reason("promote-reason"))
                    button id="promote" type="submit" { "Ask for promotion" }
                    (problem())
                }
            } @else if let Some(rights) = rights.first() {
                (refused("Ask for promotion", rights, "request"))
            }
            (command("cli-promote", &format!("lockgate promote {newest} --to ENVIRONMENT --reason REASON")))
        }
    }
}

fn rollback(row: &EnvironmentRow, rights: &Rights, now: UnixMillis) -> Markup {
    let environment = row.environment.as_str();
    let back: Vec<&RanRow> = row.ran.iter().filter(|ran| ran.rollback).collect();
    let Some(running) = row.running.as_ref().filter(|_| !back.is_empty()) else { return html! {} };
    let id = format!("rollback-{environment}");
    html! {
        section id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { "Roll back " (environment) }
            p.quiet { "Only what ran there and still verifies. What would be lost:" }
            ul {
                @for ran in &back {
                    li {
                        a href=(diff_link(&running.release, &ran.release, Some(&row.environment))) {
                            (running.release.version.to_string()) " → " (ran.release.version.to_string())
                        }
                        " " span.quiet { "ran from " (ago(ran.since, now)) @if let Some(until) = ran.until { " to " (ago(until, now)) } }
                    }
                }
            }
            @if rights.may("rollback") {
                form.act data-act="/v1/rollbacks" data-method="POST" data-then="promotion" method="post" {
                    input type="hidden" name="environment" value=(environment);
                    label for={ (id) "-release" } { "Back to" }
                    select id={ (id) "-release" } name="release" {
                        @for ran in &back { option value=(ran.release) { (ran.release.version.to_string()) } }
                    }
                    (reason(&format!("{id}-reason")))
                    button id={ (id) "-ask" } type="submit" { "Ask for rollback" }
                    (problem())
                }
            } @else {
                (refused("Ask for rollback", rights, "rollback"))
            }
            @if let Some(first) = back.first() {
                (command(&format!("cli-{id}"), &format!("lockgate rollback {} --to {environment} --reason REASON", first.release)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_api::wire::RunningCell;
    use lockgate_model::facts::PromotionKind;

    fn ran(version: &str, promotion: &str, since: u64, rollback: bool) -> RanRow {
        RanRow {
            release: format!("shop/web@{version}").parse().unwrap(),
            promotion: promotion.parse().unwrap(),
            since: UnixMillis(since),
            until: None,
            rollback,
        }
    }

    fn service() -> ServiceReply {
        let release: ReleaseName = "shop/web@1.4.2".parse().unwrap();
        ServiceReply {
            service: "shop/web".parse().unwrap(),
            environments: vec![EnvironmentRow {
                environment: "production".parse().unwrap(),
                running: Some(RunningCell {
                    release: release.clone(),
                    since: UnixMillis(1_000),
                    promotion: "P-3".parse().unwrap(),
                }),
                ran: vec![
                    ran("1.4.2", "P-3", 1_000, false),
                    ran("1.4.1", "P-2", 500, true),
                    ran("1.4.0", "P-1", 100, false),
                ],
            }],
            releases: vec![ReleaseLine {
                release: release.clone(),
                published_by: "ci".parse().unwrap(),
                published_at: UnixMillis(900),
                artifacts: 1,
                evidence: 3,
                runs_in: vec!["production".parse().unwrap()],
                ran_in: vec!["production".parse().unwrap()],
            }],
            promotions: vec![PromotionLine {
                promotion: "P-3".parse().unwrap(),
                release,
                environment: "production".parse().unwrap(),
                kind: PromotionKind::Promotion,
                status: "granted".to_owned(),
                requester: "dana".parse().unwrap(),
                reason: "<img src=x onerror=alert(1)>".to_owned(),
                requested_at: UnixMillis(950),
                granted_at: Some(UnixMillis(1_000)),
            }],
            next: Some(4),
        }
    }

    #[test]
    fn one_goes_back_only_to_what_ran_and_still_verifies() {
        let rights = Rights { may: vec!["request".to_owned(), "rollback".to_owned()], ..Rights::default() };
        let text = content(&service(), &[rights], UnixMillis(2_000)).into_string();
        let (_, form) = text.split_once(r#"data-act="/v1/rollbacks""#).unwrap();
        assert!(form.contains("shop/web@1.4.1") && !form.contains("shop/web@1.4.0"), "{form}");
        assert!(text.contains("/diff?from=shop%2Fweb%401.4.2&amp;to=shop%2Fweb%401.4.1"), "{text}");
        assert!(text.contains("/services/shop/web?before=4") && !text.contains("<img"), "{text}");
    }

    #[test]
    fn who_may_not_sees_who_may() {
        let mut rights = Rights::default();
        rights.others.insert("request".to_owned(), "group developers".to_owned());
        let text = content(&service(), &[rights], UnixMillis(2_000)).into_string();
        assert!(!text.contains("data-act"), "{text}");
        assert!(text.contains("group developers may") && text.contains("nobody may"), "{text}");
    }
}
