import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { formatBytes as bytes } from '../bytes.js';
import { adviceOf } from './advice.js';
import type { GatewayFigures, NegativeTransfer, RunFigures } from './figures.js';

const require = createRequire(import.meta.url);
const read = (name: string): string => readFileSync(require.resolve(name), 'utf8');

export interface About {
  readonly fleet: string;
  readonly model: string;
  readonly architecture: string;
  readonly simulated: boolean;
  readonly madeAt: number;
}

const html = (text: string): string =>
  text.replace(
    /[&<>"']/g,
    (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c] as string,
  );
const percent = (v: number | null | undefined): string =>
  v === null || v === undefined ? '–' : `${(100 * v).toFixed(1)} %`;
const change = (v: number): string => `${v >= 0 ? '+' : '−'}${Math.abs(100 * v).toFixed(1)}`;
const day = (at: number): string => new Date(at).toISOString().slice(0, 16).replace('T', ' ');

/** One file that needs nothing else: plots by uPlot, whose code is in it, and every figure as a table too. */
export function reportPage(about: About, f: RunFigures): string {
  const ratio = f.bytes > 0 ? f.float32Bytes / f.bytes : 0;
  const data = JSON.stringify(plotData(f)).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="content-security-policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<title>${html(about.fleet)} / ${html(about.model)}: evaluation</title>
<style>${read('uplot/dist/uPlot.min.css')}${STYLE}</style></head><body><main>
<h1>Evaluation of ${html(about.fleet)} / ${html(about.model)}</h1>
<p class="muted">${f.rounds.length} rounds${f.rounds.length > 0 ? `, ${day(f.rounds[0]?.at ?? 0)} to ${day(f.rounds.at(-1)?.at ?? 0)} UTC` : ''}; model ${html(about.architecture)}; made ${day(about.madeAt)} UTC.${about.simulated ? ' <strong>The signals are simulated; no machine was measured.</strong>' : ''}</p>
<dl class="tiles">
${tile('Accuracy', `${percent(f.start)} → ${percent(f.end)}`, `best ${percent(f.best)}; on the guard's samples in the cloud, which nothing is trained on`)}
${tile('Updates sent', bytes(f.bytes), ratio > 0 ? `${bytes(f.float32Bytes)} as float32: ${ratio.toFixed(1)} times less` : '')}
${tile('Negative transfer', `${f.negative.length} of ${f.rounds.length} rounds`, `${f.negative.filter((e) => e.ended !== 'refused').length} mended, ${f.negative.filter((e) => e.ended === 'refused').length} refused`)}
${tile('Gateways', String(f.gateways.length), `${f.gateways.filter((g) => g.first !== undefined && g.last !== undefined && g.last > g.first + 0.005).length} gained on their own data`)}
</dl>
<h2>Advice</h2><ul>${adviceOf(f)
    .map((a) => `<li>${html(a)}</li>`)
    .join('')}</ul>
<h2>Accuracy against bytes</h2><p class="muted">Of the model in use, over what all gateways had sent by then.</p><div class="plot" id="bytes" role="img" aria-label="Accuracy over bytes sent; the table of rounds has the figures"></div>
<h2>Accuracy by round</h2><p class="muted">A dot below the line before it is negative transfer: the plain average was worse than the version that the gateways had.</p><div class="plot" id="rounds" role="img" aria-label="Accuracy by round; the table of rounds has the figures"></div>
<h2>Gateways</h2><p class="muted">Accuracy on each gateway's own validation samples, at its first report and at its last.</p>${gatewayTable(f.gateways)}
<h2>Negative transfer</h2>${negativeTable(f.negative)}
<h2>Rounds</h2>${roundTable(f)}
</main><script>${read('uplot/dist/uPlot.iife.min.js')}</script><script>const DATA=${data};${DRAW}</script></body></html>
`;
}

function plotData(f: RunFigures) {
  let sent = 0;
  const cumulative = f.rounds.map((r) => {
    sent += r.bytes;
    return sent;
  });
  const [first] = f.rounds;
  const accuracy = [f.start, ...f.rounds.map((r) => r.accuracy)];
  return {
    bytes: [[0, ...cumulative], accuracy],
    rounds: [
      [(first?.round ?? 1) - 1, ...f.rounds.map((r) => r.round)],
      accuracy,
      [null, ...f.rounds.map((r) => r.average)],
    ],
  };
}

const tile = (name: string, value: string, note: string): string =>
  `<div><dt>${name}</dt><dd><b>${value}</b> <span class="muted">${note}</span></dd></div>`;

const table = (head: readonly string[], rows: readonly (readonly string[])[], none: string): string =>
  rows.length === 0
    ? `<p>${none}</p>`
    : `<div class="scroll"><table><thead><tr>${head.map((h) => `<th scope="col">${h}</th>`).join('')}</tr></thead><tbody>${rows
        .map(
          ([first = '', ...cells]) =>
            `<tr><th scope="row">${first}</th>${cells.map((c) => `<td>${c}</td>`).join('')}</tr>`,
        )
        .join('')}</tbody></table></div>`;

function gatewayTable(gateways: readonly GatewayFigures[]): string {
  const rows = gateways.map((g) => {
    const by = g.first === undefined || g.last === undefined ? undefined : g.last - g.first;
    const bar =
      by === undefined
        ? ''
        : `<span class="bar ${by < 0 ? 'bad' : 'good'}" style="width:${Math.min(100, Math.abs(100 * by)).toFixed(1)}px"></span> ${change(by)}`;
    return [html(g.edge), `${g.answered} of ${g.asked}`, percent(g.first), percent(g.last), bar, String(g.hurt)];
  });
  return table(
    ['Gateway', 'Answered', 'First', 'Last', 'Change, points', 'Versions that hurt it'],
    rows,
    'No gateway has reported.',
  );
}

function negativeTable(events: readonly NegativeTransfer[]): string {
  const ends = {
    mended: 'mended',
    'fine-tuning': 'made up for by fine-tuning',
    refused: 'refused: the version before was kept',
  };
  const rows = events.map((e) => [
    String(e.round),
    percent(e.previous),
    percent(e.average),
    ends[e.ended] + (e.leftOut.length > 0 ? `, without ${html(e.leftOut.join(', '))}` : ''),
    percent(e.accuracy),
  ]);
  return table(
    ['Round', 'Before', 'Plain average', 'What the guard did', 'After'],
    rows,
    'In no round was the plain average worse than the version before.',
  );
}

function roundTable(f: RunFigures): string {
  const rows = f.rounds.map((r) => [
    String(r.round),
    `${r.accepted.length} of ${r.participants.length}`,
    percent(r.previous),
    percent(r.average),
    percent(r.fineTuned),
    percent(r.accuracy),
    r.decision,
    bytes(r.bytes),
    `${r.seconds.toFixed(1)} s`,
  ]);
  const head = ['Round', 'Updates', 'Before', 'Average', 'Fine-tuned', 'After', 'Decision', 'Sent', 'Time'];
  return table(head, rows, 'None has closed.');
}

const STYLE = `:root{color-scheme:light dark;--line:#d5dbe3;--muted:#55606e;--first:#1f5fbf;--second:#b3560b;--good:#136c33;--bad:#b01c1c}
@media(prefers-color-scheme:dark){:root{--line:#35404d;--muted:#a3afbd;--first:#78aaff;--second:#f2a65a;--good:#7fd99a;--bad:#ff9d97}}
body{font:16px/1.5 system-ui,sans-serif;margin:0}main{max-width:62rem;margin:0 auto;padding:1rem}
.muted{color:var(--muted)}h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2rem 0 .3rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:1rem}.tiles>div{border:1px solid var(--line);border-radius:.6rem;padding:.7rem 1rem}.tiles dd{margin:0}.tiles b{display:block;font-size:1.35rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);white-space:nowrap}
.bar{display:inline-block;height:.7rem;border-radius:.2rem}.bar.good{background:var(--good)}.bar.bad{background:var(--bad)}`;

/** Runs in the reader's browser. */
const DRAW = `
const css=(n)=>getComputedStyle(document.documentElement).getPropertyValue(n).trim();
const size=(n)=>n<1e3?n+' B':n<1e6?(n/1e3).toFixed(0)+' kB':n<1e9?(n/1e6).toFixed(1)+' MB':(n/1e9).toFixed(2)+' GB';
const share=(v)=>(100*v).toFixed(0)+' %';
function draw(id,data,x,names){
  const at=document.getElementById(id);
  const axis={stroke:css('--muted'),grid:{stroke:css('--line'),width:1},ticks:{show:false}};
  const paint=['--first','--second'];
  new uPlot({width:at.clientWidth,height:280,scales:{x:{time:false},y:{range:[0,1]}},
    axes:[{...axis,...(id==='rounds'?{incrs:[1,2,5,10,20,50,100,200,500,1000]}:{}),values:(u,v)=>v.map(x)},{...axis,size:60,values:(u,v)=>v.map(share)}],
    series:[{label:id==='bytes'?'Sent':'Round',value:(u,v)=>v==null?'':x(v)},...names.map((label,i)=>({label,stroke:css(paint[i]),width:i?0:3,paths:i?()=>null:undefined,points:{show:true,size:i?9:7,fill:css(paint[i])},value:(u,v)=>v==null?'':share(v)}))]},data,at);
}
draw('bytes',DATA.bytes,size,['Model in use']);
draw('rounds',DATA.rounds,(n)=>Number.isInteger(n)?String(n):'',['Model in use','Plain average']);`;
