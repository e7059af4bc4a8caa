// Forms that act: what their fields hold goes to the API as JSON, the same request that the command line makes. What is
// refused is said in the form, with its code and what to do next; what is done leads to the page of what came of it.

import { Refused, call, signInPage } from '/assets/session.js';
import { visible } from '/assets/page.js';

const FORMS = 'form[data-act], form[data-sign]';
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

const fieldsOf = (form, pressed) => Object.fromEntries(new FormData(form, pressed).entries());

function request(form, method, body) {
  const text = JSON.stringify(body);
  if (sent.get(form)?.text !== text) {
    sent.set(form, { text, key: crypto.randomUUID() });
  }
  return { method, body, more: { 'Idempotency-Key': sent.get(form).key } };
}

// Sends what a form asks for, signed where the act takes a signature; null where nothing was signed.
async function send(form, fields) {
  if (form.dataset.sign === undefined) {
    return call(form.dataset.act, request(form, form.dataset.method, fields));
  }
  // While it is looked at and signed, no update takes the form away.
  form.dataset.dirty = '';
  const { signed } = await import('/assets/signing.js');
  const made = await signed(form.dataset.sign, fields);
  return made === null ? null : call(made.path, request(form, 'POST', made.body));
}

function onward(form, { result }) {
  const promotion = result?.promotions?.at(-1)?.promotion ?? result?.promotion;
  if (form.dataset.then === 'promotion' && promotion !== undefined) {
    location.assign(`/promotions/${encodeURIComponent(promotion)}`);
  } else if (form.dataset.sign !== undefined && result?.change !== undefined && result.missing > 0) {
    // Others sign it too: its page says who.
    location.assign(`/changes/${encodeURIComponent(result.change)}`);
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
    const fields = fieldsOf(form, pressed);
    buttons.forEach((button) => { button.disabled = true; });
    const reply = await send(form, fields);
    // It is done, or was let go: updates may take it from now on.
    delete form.dataset.dirty;
    if (reply !== null) {
      onward(form, reply);
    }
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
  const form = event.target.closest(FORMS);
  if (form !== null) {
    event.preventDefault();
    act(form, event.submitter);
  }
});

// What somebody has begun to fill in is not replaced by an update.
document.addEventListener('input', (event) => {
  const form = event.target.closest(FORMS);
  if (form !== null) {
    form.dataset.dirty = '';
  }
});
