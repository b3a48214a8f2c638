// A source and a transform for ecavg gateways, in one file: settings name it under `extensions`. Plain JavaScript, no build, no imports of ecavg.
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Settings as they are checked: what is wrong is thrown in one sentence, what is left out has its default. */
const sourceSettings = {
  parse({ url, everySeconds = 1, channels, label, ...others }) {
    const [unknown] = Object.keys(others);
    if (unknown) throw new Error(`${unknown}: http-poll has no such setting`);
    if (!URL.canParse(url))
      throw new Error('url: expected the address of the machine, as in http://127.0.0.1:8080/readings');
    if (!(everySeconds >= 0.05)) throw new Error('everySeconds: expected a number from 0.05 on');
    if (!channels || typeof channels !== 'object')
      throw new Error('channels: say which field of a row each channel is');
    return { url, everySeconds, channels, ...(label && { label }) };
  },
};

/** Asks a machine over HTTP for the rows that are newer than the last one: [{ at: ms, FIELD: number, ... }, ...]. */
class HttpPoll {
  #stopped = new AbortController();
  #since = 0;
  #run;

  constructor(settings, means) {
    this.settings = settings;
    this.means = means;
    // Refuses a channel that the stream lacks, by name.
    this.fields = Object.entries(settings.channels).map(([name, field]) => ({
      channel: means.channel(name, `channels.${name}`),
      field,
    }));
  }

  async start() {
    const kept = await readFile(this.means.stateFile, 'utf8').catch(() => '0');
    this.#since = Number(kept) || 0;
    this.#run = this.#poll();
  }

  async stop() {
    this.#stopped.abort();
    await this.#run;
  }

  /** A machine that is away, or says nonsense, is asked again: nothing here may throw. */
  async #poll() {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        const response = await fetch(`${this.settings.url}?since=${this.#since}`, { signal });
        const rows = await response.json();
        if (!signal.aborted) await this.#take(rows);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof SyntaxError) this.means.intake.bad('not-json', error.message);
        else this.means.log.debug({ err: error }, 'the machine does not answer');
      }
      await sleep(this.settings.everySeconds * 1000, undefined, { signal }).catch(() => undefined);
    }
  }

  async #take(rows) {
    const { intake, stateFile } = this.means;
    if (!Array.isArray(rows)) return intake.bad('row', 'the machine gave no list of rows');
    for (const row of rows) {
      if (!Number.isFinite(row?.at)) intake.bad('no-time', JSON.stringify(row).slice(0, 80));
      else this.#row(row);
    }
    // What was read is not read again after a restart.
    await writeFile(stateFile, String(this.#since));
  }

  #row(row) {
    const { intake } = this.means;
    this.#since = Math.max(this.#since, row.at);
    const { label } = this.settings;
    if (label && typeof row[label] === 'string') intake.label(row.at, row[label]);
    for (const { channel, field } of this.fields) {
      const value = row[field];
      if (value === undefined) continue;
      if (value === null) intake.gone(channel, row.at);
      else if (typeof value === 'number') intake.reading(channel, row.at, value);
      else intake.bad('not-a-number', `${field}: ${JSON.stringify(value).slice(0, 80)}`);
    }
  }
}

export const httpPoll = {
  about:
    '`url`, `everySeconds`, `channels: { name: field }`, `label: field`: asks a machine over HTTP for its newest rows',
  schema: sourceSettings,
  make: (settings, means) => new HttpPoll(settings, means),
};

/** Leaves out what jumps by more than `most` from the reading before, once: a spike of the line. */
export const dropSpikes = {
  about:
    '`most`: a reading that is further than this from the one before is left out, unless the next one is there, too',
  schema: {
    parse({ most }) {
      if (!(most > 0)) throw new Error('most: expected a number above 0, in the unit of the sensor');
      return { most };
    },
  },
  make({ most }) {
    const last = new Map();
    return {
      reading(channel, _at, value) {
        const before = last.get(channel);
        last.set(channel, value);
        return before !== undefined && Math.abs(value - before) > most ? undefined : value;
      },
      gone: (channel) => last.delete(channel),
    };
  },
};

export const extension = {
  format: 1,
  sources: { 'http-poll': httpPoll },
  transforms: { 'drop-spikes': dropSpikes },
};
