// Forms that act: what their fields hold goes to the API as JSON, the same request that the command line makes. What is
// refused is said in the form, with its code and what to do next; what is done leads to the page of what came of it.

import { Refused, call, signInPage } from '/assets/session.js';
import { visible } from '/assets/page.js';

// Nobody is signed in any more: other refusals with this status are about what was asked.
const SIGNED_OUT = ['SIGN_IN_NEEDED', 'TOKEN_UNKNOWN', 'TOKEN_EXPIRED', 'TOKEN_INVALID', 'KEY_REVOKED'];
// What each form sent last, and under which key: sent again, it is the same request and not a second one.
const sent = new WeakMap();

function refuse(form, error) {
  const box = form.querySelector('[data-problem]');
  const known = error instanceof Refused;
  box.querySelector('[data-code]').textContent = known ? visible(error.code) : '';
  box.querySelector('[data-detail]').textContent = visible(error.message);
  box.querySelector('[data-hint]').textContent = known && error.hint ? visible(error.hint) : '';
  box.hidden = false;
  box.focus();
}

function request(form, pressed) {
  const body = Object.fromEntries(new FormData(form, pressed).entries());
  const text = JSON.stringify(body);
  if (sent.get(form)?.text !== text) {
    sent.set(form, { text, key: crypto.randomUUID() });
  }
  return { method: form.dataset.method, body, more: { 'Idempotency-Key': sent.get(form).key } };
}

function onward(form, { result }) {
  const promotion = result?.promotions?.at(-1)?.promotion ?? result?.promotion;
  if (form.dataset.then === 'promotion' && promotion !== undefined) {
    location.assign(`/promotions/${encodeURIComponent(promotion)}`);
  } else {
    location.reload();
  }
}

async function act(form, pressed) {
  const buttons = [...form.querySelectorAll('button')].filter((button) => !button.disabled);
  form.querySelector('[data-problem]').hidden = true;
  form.setAttribute('aria-busy', 'true');
  try {
    // First of all: what is disabled says nothing, and the button that was pressed may have a value.
    const asked = request(form, pressed);
    buttons.forEach((button) => { button.disabled = true; });
    const reply = await call(form.dataset.act, asked);
    delete form.dataset.dirty;
    onward(form, reply);
  } catch (error) {
    if (error instanceof Refused && SIGNED_OUT.includes(error.code)) {
      location.assign(signInPage());
      return;
    }
    refuse(form, error);
  } finally {
    form.removeAttribute('aria-busy');
    buttons.forEach((button) => { button.disabled = false; });
  }
}

document.addEventListener('submit', (event) => {
  const form = event.target.closest('form[data-act]');
  if (form !== null) {
    event.preventDefault();
    act(form, event.submitter);
  }
});

// What somebody has begun to fill in is not replaced by an update.
document.addEventListener('input', (event) => {
  const form = event.target.closest('form[data-act]');
  if (form !== null) {
    form.dataset.dirty = '';
  }
});
