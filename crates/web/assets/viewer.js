// The offline viewer: shows the bundle that stands in this very file, once the verifier above has looked at it. Nothing
// here asks anybody: the page's own policy allows no connection at all.

const part = (id) => document.getElementById(id);
const HIDDEN = /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const visible = (shown) => String(shown).replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
const moment = (time) => (Number.isSafeInteger(time) && time <= 8.64e15 ? new Date(time).toISOString() : String(time));
const ICONS = new Map([[true, '\u2713'], [false, '\u2717'], [null, '\u00b7']]);
const OUTCOMES = { pass: '\u2713', fail: '\u2717', pending: '\u2026', waived: '!' };

// One table: a heading a column, texts as they are.
function table(id, headings, rows) {
  const row = (kind, cells) => {
    const line = document.createElement('tr');
    line.append(...cells.map((cell) => {
      const found = document.createElement(kind);
      found.textContent = visible(cell);
      return found;
    }));
    return line;
  };
  part(id).replaceChildren(row('th', headings), ...rows.map((cells) => row('td', cells)));
  part(`${id}-part`).hidden = rows.length === 0;
}

function display({ ok, code, checks, facts }) {
  const verdict = part('verdict');
  verdict.className = ok ? 'good' : 'bad';
  verdict.textContent = ok ? '\u2713 VERIFIED: this bundle is genuine' : `\u2717 NOT VERIFIED: ${code}`;
  table('checks', ['', 'Check', 'Found'], checks.map((check) => [ICONS.get(check.ok), check.name, check.text]));
  part('content').hidden = !ok;
  if (!ok) {
    return;
  }
  document.title = `${visible(facts.promotion)} \u00b7 Lockgate bundle`;
  part('title').textContent = visible(`${facts.promotion}: ${facts.release} into ${facts.environment}: ${facts.outcome}`);
  table('about', ['What', 'Says'], [
    ['kind', facts.kind], ['asked by', `${facts.requester}, ${moment(facts.requestedAt)}`], ['reason', facts.reason],
    ['manifest', facts.manifest], ['policy set', facts.policy],
    ['granted', facts.grant === null ? 'no' : `${moment(facts.grant.time)}, until ${moment(facts.grant.notAfter)}`],
    ['ledger', `${facts.origin}, ${facts.size} entries`],
  ]);
  table('artifacts', ['Artifact', 'Bytes', 'Digest'], facts.artifacts.map((one) => [one.name, one.size_bytes, one.digest]));
  table('gates', ['', 'Gate', 'Needed', 'Found', 'Rule'], (facts.gates ?? []).map((gate) => [
    `${OUTCOMES[gate.outcome] ?? '\u00b7'} ${gate.outcome}`, gate.gate, gate.needed, gate.found,
    `${gate.rule?.file}:${gate.rule?.line}`,
  ]));
  table('evidence', ['Kind', 'Digest', 'Handed in', 'Entry'], facts.evidence.map((one) => [
    one.kind, one.digest, `by ${one.by}, ${moment(one.time)}`, one.index,
  ]));
  table('approvals', ['Person', 'Said', 'Key', 'Comment', 'When', 'Entry'], facts.approvals.map((one) => [
    one.person, one.withdrawn ? `${one.verdict}, withdrawn later` : one.verdict, one.key, one.comment ?? '', moment(one.time), one.index,
  ]));
  table('suspects', ['Entry', 'Since', 'Why'], facts.suspects.map((one) => [one.index, one.since, one.why]));
  part('note').textContent = facts.checkpoint.split('\n').map(visible).join('\n');
}

async function run(trust, whose) {
  part('whose').textContent = whose;
  part('pinned').textContent = visible(trust);
  display(await verifyBundle(utf8(part('bundle').textContent), utf8(trust)));
}

part('own').addEventListener('change', async (event) => {
  const [file] = event.target.files;
  if (file !== undefined) {
    await run(await file.text(), 'Checked against the trust file that you chose.');
  }
});

await run(
  part('trust').textContent,
  'Checked against the trust file inside this page, which came from whoever made the page. Compare it with the one that ' +
    'you pinned, or choose yours.',
);
