//! Times on pages: in the words of the server, kept current by the script, told by the clock of whoever looks.

use serde_json::{Value, json};

use crate::browser::driver::Browser;
use crate::dashboard::sign_in;
use crate::dashboard_pages::{host, site, soon};
use crate::instance::Instance;

/// Whether the script says of each time what the server says of it, in a page that is fetched now; gives what differs.
const DIFFERS: &str = "new Promise((done) => { const ask = new XMLHttpRequest(); ask.responseType = 'document'; \
    ask.onload = () => { const said = (page) => [...page.querySelectorAll('time[data-ago], time[data-until]')]\
    .map((time) => `${time.title} ${time.textContent}`); \
    const [mine, theirs] = [said(document), said(ask.response)]; \
    done(mine.length === theirs.length ? mine.filter((one, at) => one !== theirs[at]) : [mine, theirs]); }; \
    ask.open('GET', location.href); ask.send(); })";

#[test]
fn what_ends_is_counted_down_and_asked_for_again_when_it_has_ended() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::granted();
    let freeze = ["freeze", "--env", "dev", "--until", "2h", "--reason", "incident", "--yes", "--as", "sam"];
    lockgate.run(&freeze).exits(0);
    sign_in(&mut browser, &lockgate, "sam");
    browser.open(&format!("{}/freeze", site(&lockgate)));
    soon(&mut browser, "document.getElementById('live').textContent === 'live'");
    let said = "document.querySelector('#alarms time').textContent";
    browser.until(&format!("{said}.startsWith('in 1 h 5')"));
    // A minute may pass between the two: then they agree when asked again.
    let found: Vec<Value> = (0..3).map(|_| browser.evaluate(DIFFERS)).collect();
    assert!(found.contains(&json!([])), "{found:?}");

    // An hour later by this machine's clock, without a word from the server.
    browser.evaluate("(window.own = Date.now, Date.now = () => window.own.call(Date) + 3_600_000, true)");
    soon(&mut browser, &format!("{said}.startsWith('in 5')"));
    // Once it has run out the page is asked for again, which tells the server's time.
    browser.evaluate("(Date.now = () => window.own.call(Date) + 7_300_000, true)");
    soon(&mut browser, &format!("{said}.startsWith('in 1 h 5')"));

    // The clock of whoever looks, wherever that is.
    browser.evaluate(
        "(() => { const time = document.createElement('time'); time.id = 'here'; time.dataset.local = '7200000'; \
         document.getElementById('content').append(time); })()",
    );
    soon(
        &mut browser,
        "Date.parse(document.getElementById('here').textContent.replace(' ', 'T').replace(' ', '')) === 7200000",
    );
    assert_eq!(
        browser.evaluate("document.getElementById('entries').parentElement.nextElementSibling.tagName"),
        json!("TIME")
    );
    browser.was_clean(&[&host(&lockgate)]);
}
