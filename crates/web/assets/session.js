// The session: who is signed in here, and every request to the server.

// A refusal of the server: a sentence, a stable reason code, and what to do next.
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the server answered with status ${status}`);
    this.status = status;
    this.code = problem.code ?? 'SERVER_PROTOCOL';
    this.hint = problem.hint ?? null;
  }
}

// Sends one request. The session is a cookie that no script can read, this one neither; the browser itself says where a
// request comes from, and the server turns those of other sites away.
async function ask(path, method, headers, body, signal) {
  let reply;
  try {
    reply = await fetch(path, {
      method,
      headers,
      body,
      credentials: 'same-origin',
      redirect: 'error',
      cache: 'no-store',
      signal,
    });
  } catch {
    throw new Error('the server cannot be reached; try again');
  }
  if (!reply.ok) {
    throw new Refused(reply.status, await reply.json().catch(() => ({})));
  }
  return reply;
}

// Sends one request and gives the JSON of the reply, or throws what was refused.
export async function call(path, { method = 'GET', body, more = {}, signal } = {}) {
  const headers = { Accept: 'application/json', ...more };
  if (method !== 'GET') {
    headers['Content-Type'] = 'application/json';
    // Only a script of this very site can add it.
    headers['Lockgate-CSRF'] = '1';
  }
  const reply = await ask(path, method, headers, body === undefined ? undefined : JSON.stringify(body), signal);
  return reply.json();
}

// Downloads bytes.
export async function download(path) {
  return new Uint8Array(await (await ask(path, 'GET', {})).arrayBuffer());
}

// Who is signed in, or null; the signal ends a question that takes too long.
export async function session(signal) {
  try {
    return await call('/v1/whoami', { signal });
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      return null;
    }
    throw error;
  }
}

// Begins a session with the answer to a challenge. The server puts its token into a cookie, and not into the reply.
export async function begin(answer) {
  await call('/v1/sessions', { method: 'POST', body: answer, more: { 'Lockgate-Cookie': '1' } });
  sessionChanged();
}

// Ends the session.
export async function end() {
  await call('/v1/sessions', { method: 'DELETE' });
  sessionChanged();
}

// The tabs of one browser share one session: each hears when it begins or ends in another. Nothing but that is told.
const CHANNEL = 'lockgate-session';

export function sessionChanged() {
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage(null);
  channel.close();
}

export function whenSessionChanges(listener) {
  new BroadcastChannel(CHANNEL).addEventListener('message', listener);
}

// Where to go after signing in: a page of this server and nowhere else.
export function nextPage() {
  const wanted = new URLSearchParams(location.search).get('next') ?? '/';
  const there = new URL(wanted, location.origin);
  return there.origin === location.origin && /^https?:$/.test(there.protocol) ? there.href : '/';
}

// The address of the sign-in page that comes back here.
export function signInPage() {
  return `/sign-in?${new URLSearchParams({ next: location.pathname + location.search })}`;
}
