// Times: keeps what pages say of them current. The server writes the same words into the page (`wording.rs`); here they
// are only written again, so that nothing moves when this script starts.
//
// `data-ago` and `data-until` carry a moment of the ledger, in milliseconds since 1970, and are told by the server's
// clock; `data-local` carries one that is told by the clock of whoever looks.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
// How often times are looked at: what is shown changes no more often than once a minute.
const TICK_MS = 1_000;
const KEPT = 'time[data-ago], time[data-until], time[data-local]';

// By how much the server's clock is ahead of this one.
let ahead = 0;

export function now() {
  return Date.now() + ahead;
}

// Takes the server's clock from a page that it has just made.
export function readClock(page) {
  const told = Number(page.body.dataset.now);
  if (Number.isFinite(told) && told > 0) {
    ahead = told - Date.now();
  }
}

function span(millis) {
  if (millis < HOUR) {
    return `${Math.floor(millis / MINUTE)} min`;
  }
  return millis < DAY ? `${Math.floor(millis / HOUR)} h` : `${Math.floor(millis / DAY)} d`;
}

function ago(passed) {
  return passed < MINUTE ? 'just now' : `${span(passed)} ago`;
}

function until(left) {
  if (left <= 0) {
    return 'over';
  }
  const millis = Math.max(left, MINUTE);
  let rest = 0;
  if (millis >= DAY) {
    rest = Math.floor((millis % DAY) / HOUR) * HOUR;
  } else if (millis >= HOUR) {
    rest = millis % HOUR;
  }
  return rest < MINUTE ? `in ${span(millis)}` : `in ${span(millis)} ${span(rest)}`;
}

const two = (number) => String(number).padStart(2, '0');

// A moment by this machine's clock and time zone; null where its calendar ends.
function local(moment) {
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) {
    return null;
  }
  const east = -date.getTimezoneOffset();
  const zone = `${east < 0 ? '-' : '+'}${two(Math.floor(Math.abs(east) / 60))}:${two(Math.abs(east) % 60)}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${zone}`;
}

function words({ ago: since, until: end, local: moment }) {
  if (end !== undefined) {
    return until(Number(end) - now());
  }
  return since !== undefined ? ago(now() - Number(since)) : local(Number(moment));
}

// Writes the times of a page, or of one that was fetched, as they are now; gives whether something on it ran out.
export function show(page) {
  let isOver = false;
  for (const time of page.querySelectorAll(KEPT)) {
    const said = words(time.dataset);
    if (said !== null && said !== time.textContent) {
      isOver ||= said === 'over';
      time.textContent = said;
    }
  }
  return isOver;
}

// Keeps the times of this page, while somebody can see it; `whenOver` is called when one of them has run out.
export function keepTimes(whenOver) {
  const tick = () => {
    if (document.visibilityState === 'visible' && show(document)) {
      whenOver();
    }
  };
  readClock(document);
  tick();
  setInterval(tick, TICK_MS);
  document.addEventListener('visibilitychange', tick);
}
