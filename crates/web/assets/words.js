// Code words: the first six bytes of a document's SHA-256 as words, for comparing two screens.
//
// The words are counted out here, from the document's own bytes; what the server says they are is only compared.

import { WORDS } from '/assets/code-words.js';
import { sha256, utf8 } from '/assets/sshsig.js';

export async function codeWords(document) {
  const digest = await sha256(utf8(document));
  return Array.from(digest.subarray(0, 6), (byte) => WORDS[byte]).join(' ');
}

// Refuses a document that the server describes by other words than its own.
export async function checkWords(document, claimed) {
  const words = await codeWords(document);
  if (words !== claimed) {
    throw new Error(
      `the document does not fit its code words: they are \u201c${words}\u201d, but the server says \u201c${claimed}\u201d; ` +
        'nothing was signed, and somebody should look into it',
    );
  }
  return words;
}
