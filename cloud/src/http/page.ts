/** The dashboard: one page, no request to another host, light and dark. */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ecavg</title>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --good: #1a7f37; --bad: #c62828; --bar: #2f6fde; }
@media (prefers-color-scheme: dark) { :root { --good: #5cc777; --bad: #ff8a80; --bar: #7aa7f7; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .8rem; margin-top: 1rem; }
.tile { border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.5rem; } .muted { opacity: .7; }
table { border-collapse: collapse; width: 100%; } .scroll { overflow-x: auto; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.good { color: var(--good); } .bad { color: var(--bad); }
.bar { display: inline-block; width: 6rem; height: .6rem; background: var(--line); border-radius: .3rem; vertical-align: middle; }
.bar i { display: block; height: 100%; background: var(--bar); border-radius: .3rem; }
#note { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .9rem; margin-top: 1rem; }
</style>
</head>
<body>
<header><h1>ecavg <span id="model" class="muted"></span></h1><nav id="models" aria-label="Models"></nav><div id="live" class="muted" role="status">connecting</div></header>
<p id="note" hidden>These signals are simulated; no machine was measured.</p>
<section class="tiles" aria-label="Summary" id="tiles"></section>
<h2>Gateways</h2>
<p class="muted">Accuracy on each gateway's own validation samples.</p>
<div class="scroll"><table><thead><tr><th>Gateway</th><th>State</th><th>Samples</th><th>Trained here</th><th>After update</th><th>In use</th></tr></thead><tbody id="edges"></tbody></table></div>
<h2>Versions</h2>
<p class="muted">Accuracy on the guard's samples in the cloud.</p>
<div class="scroll"><table><thead><tr><th>Version</th><th>Round</th><th>Average</th><th>Fine-tuned</th><th>Score</th><th></th><th>File</th></tr></thead><tbody id="versions"></tbody></table></div>
<script>
const $ = (id) => document.getElementById(id);
const percent = (v) => (v === undefined || v === null ? '-' : (100 * v).toFixed(1) + ' %');
const bytes = (n) => (n < 1e3 ? n + ' B' : n < 1e6 ? (n / 1e3).toFixed(1) + ' kB' : (n / 1e6).toFixed(2) + ' MB');
const row = (cells) => {
  const tr = document.createElement('tr');
  for (const c of cells) {
    const td = document.createElement('td');
    if (c instanceof Node) td.append(c); else td.textContent = c;
    tr.append(td);
  }
  return tr;
};
const el = (tag, text, cls) => { const e = document.createElement(tag); e.textContent = text; if (cls) e.className = cls; return e; };
const bar = (v) => { const b = el('span', '', 'bar'); const i = document.createElement('i'); i.style.width = 100 * (v || 0) + '%'; b.append(i); return b; };
const tile = (name, value, sub) => { const d = el('div', '', 'tile'); d.append(el('span', name, 'muted'), el('b', value), el('span', sub || '', 'muted')); return d; };
const query = location.search;
async function drawModels() {
  const all = await (await fetch('/api/v1/models')).json();
  if (all.length < 2) return;
  $('models').replaceChildren(...all.flatMap((m) => {
    const a = el('a', m.fleet + ' / ' + m.model);
    a.href = '/?fleet=' + encodeURIComponent(m.fleet) + '&model=' + encodeURIComponent(m.model);
    return [a, ' '];
  }));
}
async function draw() {
  const s = await (await fetch('/api/v1/state' + query)).json();
  const head = s.versions.filter((v) => v.state === 'current').at(-1);
  const trial = s.versions.at(-1).state === 'canary' ? s.versions.at(-1) : undefined;
  const online = s.members.filter((m) => m.online).length;
  const refused = Object.values(s.wire.rejected).reduce((a, b) => a + b, 0);
  $('model').textContent = s.fleet + ' / ' + s.model;
  $('note').hidden = !s.simulatedData;
  const round = s.round ? s.round.round + (s.round.phase === 'open' ? ' (collecting ' + s.accepted.length + ' of ' + s.round.participants.length + ')' : ' (closed)') : 'not yet';
  $('tiles').replaceChildren(
    tile('Gateways online', online + ' of ' + s.members.length),
    tile('Round', round.split(' ')[0], round.split(' ').slice(1).join(' ')),
    tile('Model version', 'v' + head.version, s.pinned ? 'pinned' : trial ? 'v' + trial.version + ' is on trial' : head.restores ? 'weights of v' + head.restores : head.sha256.slice(0, 12)),
    tile('Accuracy', percent(head.metrics.accuracy), 'on samples that no one trained on'),
    tile('Received', bytes(s.wire.bytes), s.wire.messages + ' messages, ' + refused + ' refused'));
  $('edges').replaceChildren(...s.members.map((m) => {
    const t = m.reports.trained, a = m.reports.adopted, k = m.reports.kept;
    const last = k && (!a || k.version > a.version) ? k : a;
    return row([m.edge, el('span', m.online ? 'online' : 'offline', m.online ? 'good' : 'bad'), m.samples,
      percent(t && t.values.valAfter), percent(last && last.values.valAfter), last ? (last.event === 'kept' ? 'its own model' : 'v' + last.version) : '-']);
  }));
  $('versions').replaceChildren(...[...s.versions].reverse().slice(0, 30).map((v) => {
    const link = el('a', 'model.onnx'); link.href = '/api/v1/versions/' + v.version + '/model.onnx' + query;
    return row(['v' + v.version + (v.state === 'current' ? '' : v.state === 'canary' ? ' (trial)' : ' (withdrawn)') + (v.restores ? ' = v' + v.restores : ''), v.round || 'initial', percent(v.metrics.averageAccuracy), percent(v.metrics.fineTunedAccuracy), percent(v.metrics.accuracy), bar(v.metrics.accuracy), link]);
  }));
}
let queued = false;
const soon = () => { if (!queued) { queued = true; setTimeout(() => { queued = false; draw().catch(() => {}); }, 200); } };
const events = new EventSource('/api/v1/events' + query);
events.onopen = () => { $('live').textContent = 'live'; soon(); };
events.onmessage = soon;
events.onerror = () => { $('live').textContent = 'connection lost, trying again'; };
draw().catch(() => {});
drawModels().catch(() => {});
</script>
</body>
</html>
`;
