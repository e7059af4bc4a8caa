// What every page does: find its parts, fill in text, say what went wrong, and copy.
//
// Text is set as text and never as markup; the pages' content security policy refuses anything else.

import { Refused } from '/assets/session.js';
import { obstacle } from '/assets/passkey.js';

export const part = (id) => document.getElementById(id);

export function fill(id, text) {
  part(id).textContent = text;
}

// The same line by line, so that what is too long for one goes on under its words and not under its name.
export function fillLines(id, text) {
  const lines = text.split('\n');
  const spans = lines.map((line, at) => {
    const span = document.createElement('span');
    span.className = 'line';
    span.textContent = at + 1 < lines.length ? `${line}\n` : line;
    return span;
  });
  part(id).replaceChildren(...spans);
}

export function show(id, shown = true) {
  part(id).hidden = !shown;
}

// Name and value pairs as a description list.
export function fillList(id, pairs) {
  const items = pairs.flatMap(([name, value]) => {
    const term = document.createElement('dt');
    const description = document.createElement('dd');
    term.textContent = name;
    description.textContent = value;
    return [term, description];
  });
  part(id).replaceChildren(...items);
}

// Characters that could make text look like other text, as escapes.
export function visible(text) {
  return String(text).replace(
    /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu,
    (hidden) => `\\u{${hidden.codePointAt(0).toString(16)}}`,
  );
}

// The same for text of several lines, which stay lines.
export function visibleLines(text) {
  return text.split('\n').map(visible).join('\n');
}

export function say(text) {
  fill('status', text);
}

export function clearProblem() {
  show('problem', false);
}

// Says what went wrong, why, and what to do next.
export function problem(error) {
  say('');
  let text = error.message;
  if (error.name === 'NotAllowedError') {
    text = 'The passkey was not used: it was cancelled, took too long, or none fits. Try again.';
  }
  fill('problem-text', text);
  fill('problem-code', error instanceof Refused ? error.code : '');
  fill('problem-hint', error instanceof Refused && error.hint ? error.hint : '');
  show('problem');
  part('problem').focus();
}

// Runs one step with its button out of reach, and says how it failed if it did.
export async function step(button, work) {
  clearProblem();
  button.disabled = true;
  document.body.setAttribute('aria-busy', 'true');
  try {
    await work();
  } catch (error) {
    problem(error);
  } finally {
    button.disabled = false;
    document.body.removeAttribute('aria-busy');
  }
}

// Shows why passkeys do not work here, if they do not.
export function passkeysWork() {
  const found = obstacle();
  if (found === null) {
    return true;
  }
  problem(new Error(found.text));
  if (found.there !== null) {
    const link = document.createElement('a');
    link.href = found.there;
    link.textContent = found.there;
    part('problem-hint').replaceChildren(link);
  }
  return false;
}

// A word of a POSIX shell command.
export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

// Buttons that copy the text of the element that they name.
export function copyButtons() {
  for (const button of document.querySelectorAll('button[data-copies]')) {
    button.addEventListener('click', async () => {
      const source = part(button.dataset.copies);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = 'Copied';
      } catch {
        // Without the right to the clipboard, the text is selected for whoever wants to copy it.
        getSelection().selectAllChildren(source);
      }
    });
  }
}
