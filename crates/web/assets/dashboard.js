// The dashboard: live updates, keys, copying, signing out. Pages work without it, but stand still.
//
// An update fetches the page that is shown once more and changes what differs, node by node. Nothing is made out of
// text here, so that there is one place that writes pages: the server.

import '/assets/act.js';
import { end, session, signInPage, whenSessionChanges } from '/assets/session.js';
import { keepTimes, readClock, show } from '/assets/times.js';

// No more often than this, however much happens.
const REFRESH_MS = 400;
// A connection that is silent for twice the time of the server's heartbeat counts as lost.
const SILENCE_MS = 4_000;
// How long after a lost connection the next one is tried.
const RETRY_MS = 1_000;

const live = document.getElementById('live');
const personOf = (page) => page.querySelector('.who .person')?.textContent;
const person = personOf(document);
let index = Number(document.body.dataset.entries);
let source = null;
let silence = null;
let pending = null;
let busy = false;
// Whether an update could not be fetched: it is fetched as soon as the server is heard again.
let missed = false;

function standing(text, lost) {
  if (live !== null && live.textContent !== text) {
    live.textContent = text;
    live.classList.toggle('lost', lost);
  }
}

// The page at this address as a document of its own: scripts in it never run.
function fetchPage() {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.responseType = 'document';
    request.open('GET', location.href);
    request.onload = () => (request.status === 200 ? resolve(request.response) : reject(new Error(String(request.status))));
    request.timeout = SILENCE_MS;
    request.onerror = () => reject(new Error('unreachable'));
    request.ontimeout = request.onerror;
    request.send();
  });
}

// Read this way, because a field of a form may be called `id`.
const idOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute('id') : null);

// Whether somebody is at work in it, in a form that was begun or in a field: it stays as it is.
function isHeld(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) {
    return false;
  }
  const field = document.activeElement;
  const isInField = field !== null && field.matches('input, select, textarea') && node.contains(field);
  return isInField || node.matches('form[data-dirty]') || node.querySelector('form[data-dirty]') !== null;
}

// Whether one node can become the other: things with a name keep it, and a form keeps what it does.
function isAlike(old, fresh) {
  const isSame = old.nodeName === fresh.nodeName && idOf(old) === idOf(fresh);
  return isSame && (old.nodeName !== 'FORM' || ['act', 'sign'].every((name) => old.dataset[name] === fresh.dataset[name]));
}

// Gives an element the attributes of another. Whether something is open is for who looks at it to say.
function mirrorAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (name !== 'open' && !fresh.hasAttribute(name)) {
      old.removeAttribute(name);
    }
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== 'open' && old.getAttribute(name) !== value) {
      old.setAttribute(name, value);
    }
  }
}

// Gives an element the children of another: those with the same id are the same, the others by their place and kind.
function mirrorChildren(old, fresh) {
  const wanted = new Set([...fresh.children].map(idOf));
  const known = new Map();
  for (const child of [...old.children]) {
    const id = idOf(child);
    if (id !== null && wanted.has(id)) {
      known.set(id, child);
    } else if (id !== null && !isHeld(child)) {
      child.remove();
    }
  }
  let at = old.firstChild;
  for (const child of fresh.childNodes) {
    const named = known.get(idOf(child));
    if (named !== undefined && named !== at && isAlike(named, child)) {
      old.insertBefore(named, at);
      mirror(named, child);
    } else if (at !== null && isAlike(at, child)) {
      const mine = at;
      at = at.nextSibling;
      mirror(mine, child);
    } else {
      old.insertBefore(document.importNode(child, true), at);
    }
  }
  while (at !== null) {
    const last = at;
    at = at.nextSibling;
    if (!isHeld(last)) {
      last.remove();
    }
  }
}

// Makes a node the same as one that is alike by changing what differs and nothing else: focus, selection and scrolling
// stay where they are, and the browser draws no more than what changed, so that a page of many rows stays responsive.
function mirror(old, fresh) {
  if (old.isEqualNode(fresh)) {
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = fresh.data;
  } else if (old.nodeName !== 'FORM') {
    mirrorAttributes(old, fresh);
    mirrorChildren(old, fresh);
  } else if (!isHeld(old)) {
    old.replaceWith(document.importNode(fresh, true));
  }
}

// Replaces what differs in the content of the page.
function replace(from, to) {
  // A part that works by itself, such as the log page's: only what it marks as the server's is kept up to date.
  if (from.querySelector('[data-own]') !== null) {
    for (const fresh of to.querySelectorAll('[data-live][id]')) {
      const old = document.getElementById(fresh.id);
      if (old !== null) {
        mirror(old, fresh);
      }
    }
    return;
  }
  // Which row the keys are at is known here alone.
  const at = from.querySelector('.at');
  at?.classList.remove('at');
  mirror(from, to);
  at?.classList.add('at');
}

async function refresh() {
  pending = null;
  if (busy) {
    later();
    return;
  }
  busy = true;
  try {
    const page = await fetchPage();
    const content = page.getElementById('content');
    if (content === null) {
      // The sign-in page came instead.
      check();
      return;
    }
    if (personOf(page) !== person) {
      location.reload();
      return;
    }
    // The times first, so that what was written here does not differ from what has come.
    readClock(page);
    show(page);
    replace(document.getElementById('content'), content);
    for (const part of ['.top nav', '#alarms', 'footer p']) {
      const [mine, theirs] = [document.querySelector(part), page.querySelector(part)];
      if (mine !== null && theirs !== null) {
        mirror(mine, theirs);
      }
    }
    index = Math.max(index, Number(page.body.dataset.entries));
    document.body.dataset.entries = String(index);
  } catch {
    missed = true;
    standing('not connected', true);
  } finally {
    busy = false;
  }
}

function later() {
  pending ??= setTimeout(refresh, REFRESH_MS);
}

// Says that nobody is signed in here any more, or takes that back. What is shown stays, and stands still.
function signedOut(so) {
  const notice = document.getElementById('signed-out');
  notice.hidden = !so;
  notice.querySelector('a').href = signInPage();
  if (so) {
    standing('signed out', true);
  }
}

// Finds out why nothing is heard: nobody is signed in here any more, somebody else is, or the server is out of reach.
async function check() {
  clearTimeout(silence);
  source?.close();
  try {
    const me = await session(AbortSignal.timeout(SILENCE_MS));
    signedOut(me === null);
    if (me !== null && me.person !== person) {
      // What is shown is for somebody else's eyes, and what is done here would be done in another name.
      location.reload();
    } else if (me !== null) {
      connect();
    }
  } catch {
    lost();
  }
}

function lost() {
  standing('not connected', true);
  source?.close();
  clearTimeout(silence);
  silence = setTimeout(check, RETRY_MS);
}

function listen() {
  clearTimeout(silence);
  silence = setTimeout(() => {
    standing('not connected', true);
    check();
  }, SILENCE_MS);
}

function heard() {
  standing('live', false);
  if (missed) {
    missed = false;
    later();
  }
  listen();
}

// Follows the ledger from the entry after the last one that this page knows.
function connect() {
  source?.close();
  listen();
  source = new EventSource(`/v1/events?from=${index}`);
  source.onopen = heard;
  source.addEventListener('size', (event) => {
    heard();
    const size = Number(event.data);
    if (size > index) {
      index = size;
      later();
    }
  });
  // The browser would try again by itself, but not where the server answers with a refusal.
  source.onerror = lost;
}

document.addEventListener('click', async (event) => {
  const button = event.target.closest('button');
  if (button === null) {
    return;
  }
  if (button.id === 'sign-out') {
    await end().catch(() => {});
    location.assign(signInPage());
  } else if (button.dataset.copies !== undefined) {
    await copy(document.getElementById(button.dataset.copies), null, button, 'Copied');
  } else if (button.dataset.copy !== undefined) {
    await copy(button.querySelector('code'), button.dataset.copy, button.querySelector('span'), 'copied');
  }
});

// Copies what a part says, or what it stands for, and says so; where nothing can be copied, all of it is shown and
// selected, for the reader to copy.
async function copy(part, whole, says, done) {
  try {
    await navigator.clipboard.writeText(whole ?? part.textContent);
    says.textContent = done;
  } catch {
    part.textContent = whole ?? part.textContent;
    getSelection().selectAllChildren(part);
  }
}

// The keys: `/` searches, `g` and a letter goes somewhere, `j` and `k` walk through rows, Enter opens, `?` helps.
let going = false;

function walk(step) {
  const rows = [...document.querySelectorAll('[data-row]')].filter((row) => row.checkVisibility());
  if (rows.length === 0) {
    return;
  }
  const at = rows.findIndex((row) => row.classList.contains('at'));
  const next = Math.min(Math.max(at + step, 0), rows.length - 1);
  rows[at]?.classList.remove('at');
  rows[next].classList.add('at');
  rows[next].scrollIntoView({ block: 'nearest' });
  rows[next].querySelector('a')?.focus({ preventScroll: true });
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input, select, textarea')) {
    return;
  }
  if (going) {
    going = false;
    const link = document.querySelector(`a[data-go="${CSS.escape(event.key)}"]`);
    link?.click();
    return;
  }
  if (event.key === '/') {
    event.preventDefault();
    document.querySelector('input[type=search]')?.focus();
  } else if (event.key === 'g') {
    going = true;
  } else if (event.key === 'j' || event.key === 'k') {
    walk(event.key === 'j' ? 1 : -1);
  } else if (event.key === '?') {
    document.getElementById('keys-help')?.showModal();
  }
});

if (live !== null) {
  // What has run out may have changed what else the page says, without an entry in the ledger.
  keepTimes(later);
  connect();
  whenSessionChanges(check);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible' && !document.getElementById('signed-out').hidden) {
      check();
    }
  });
}
if (document.querySelector('[data-own="log"]') !== null) {
  import('/assets/log.js');
}
