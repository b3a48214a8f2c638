import { Random } from '../random.js';
import type { DataSet } from './dataset.js';

/** Samples a second of the simulated accelerometer. */
export const SAMPLE_RATE = 12_000;
/** Samples in a window: 85 ms, about 2.5 turns of the shaft. */
export const WINDOW = 1024;

const CLASSES = ['healthy', 'outer-race', 'inner-race', 'ball'] as const;

/**
 * Rolling-element geometry of a deep-groove bearing of type 6205: 9 balls of 7.94 mm on a pitch
 * diameter of 39.04 mm, contact angle 0.
 */
export const BEARING = { balls: 9, ratio: 7.94 / 39.04 };

/** Characteristic fault frequencies in Hz at `shaft` Hz (kinematics of a bearing with a fixed outer race). */
export function faultFrequencies(shaft: number): { outer: number; inner: number; ball: number; cage: number } {
  const { balls, ratio } = BEARING;
  return {
    outer: (balls / 2) * shaft * (1 - ratio),
    inner: (balls / 2) * shaft * (1 + ratio),
    ball: (1 / (2 * ratio)) * shaft * (1 - ratio * ratio) * 2,
    cage: (shaft / 2) * (1 - ratio),
  };
}

/** What differs from gateway to gateway. */
export interface Site {
  /** Shaft speed, Hz. */
  readonly shaft: number;
  /** Load in [0, 1]: how much of the impacts the load zone passes on. */
  readonly load: number;
  /** Sensor gain and offset. */
  readonly gain: number;
  readonly offset: number;
  /** Structural resonance that impacts excite, Hz, and its decay, 1/s. */
  readonly resonance: number;
  readonly damping: number;
  /** Standard deviation of the noise. */
  readonly noise: number;
  /** Share of samples lost in gaps. */
  readonly missing: number;
  /** Shares of the classes in this site's recordings. */
  readonly mix: readonly number[];
}

function makeSite(seed: number, site: number): Site {
  const r = new Random(seed, `vibration/site/${site}`);
  return {
    shaft: r.range(27, 31),
    load: r.range(0.5, 1),
    gain: 2 ** r.range(-1, 1),
    offset: r.range(-0.2, 0.2),
    resonance: r.range(2600, 3600),
    damping: r.range(600, 1000),
    noise: r.range(0.1, 0.3),
    missing: r.range(0, 0.12),
    mix: r.dirichlet(0.8, CLASSES.length),
  };
}

/** How much of it to make; the same options give the same samples everywhere. */
export interface VibrationOptions {
  readonly sites: number;
  readonly recordingsPerSite: number;
  readonly windowsPerRecording: number;
  readonly seed: number;
}

/**
 * SIMULATED bearing vibration; no machine was measured. Signal = shaft harmonics + impacts at the
 * fault's characteristic frequency, each ringing the structure as a damped sine, with 1% random slip
 * and amplitude modulation (inner race by the shaft, ball by the cage; Randall and Antoni 2011, "Rolling
 * element bearing diagnostics - a tutorial"), + noise, through a sensor with its own gain and offset
 * that loses samples in gaps.
 *
 * Channels: the signal, scaled by the window's own mean and deviation with gaps filled by the last
 * value, and a mask (1 measured, 0 filled). Shape [2, 1024]; windows of a recording share a group.
 */
export function simulateVibration(options: VibrationOptions): DataSet {
  const { sites, recordingsPerSite, windowsPerRecording, seed } = options;
  const length = sites * recordingsPerSite * windowsPerRecording;
  const values = new Float32Array(length * WINDOW);
  const masks = new Uint8Array(length * WINDOW);
  const labels = new Int32Array(length);
  const groups = new Int32Array(length);
  const siteOf = new Int32Array(length);
  let at = 0;
  for (let s = 0; s < sites; s++) {
    const site = makeSite(seed, s);
    for (let r = 0; r < recordingsPerSite; r++) {
      const random = new Random(seed, `vibration/recording/${s}/${r}`);
      const label = drawClass(site.mix, random);
      const signal = record(site, label, WINDOW * windowsPerRecording, random);
      const present = dropSamples(signal.length, site.missing, random);
      for (let w = 0; w < windowsPerRecording; w++, at++) {
        labels[at] = label;
        groups[at] = s * recordingsPerSite + r;
        siteOf[at] = s;
        const from = w * WINDOW;
        masks.set(present.subarray(from, from + WINDOW), at * WINDOW);
        normalise(signal, present, from, values.subarray(at * WINDOW, (at + 1) * WINDOW));
      }
    }
  }
  return {
    name: 'vibration (simulated)',
    simulated: true,
    shape: [2, WINDOW],
    classes: [...CLASSES],
    length,
    labels,
    groups,
    sites: siteOf,
    read(index, out, offset) {
      const from = index * WINDOW;
      out.set(values.subarray(from, from + WINDOW), offset);
      for (let i = 0; i < WINDOW; i++) out[offset + WINDOW + i] = masks[from + i] as number;
    },
  };
}

function drawClass(mix: readonly number[], random: Random): number {
  let u = random.uniform();
  for (let c = 0; c < mix.length - 1; c++) {
    u -= mix[c] ?? 0;
    if (u < 0) return c;
  }
  return mix.length - 1;
}

function record(site: Site, label: number, samples: number, random: Random): Float32Array {
  const shaft = site.shaft * random.range(0.98, 1.02);
  const signal = new Float32Array(samples);
  const phase = [random.range(0, 2 * Math.PI), random.range(0, 2 * Math.PI)];
  for (let i = 0; i < samples; i++) {
    const angle = (2 * Math.PI * shaft * i) / SAMPLE_RATE;
    signal[i] =
      0.5 * Math.sin(angle + (phase[0] ?? 0)) +
      0.2 * Math.sin(2 * angle + (phase[1] ?? 0)) +
      site.noise * random.normal();
  }
  addImpacts(signal, site, shaft, label, random);
  for (let i = 0; i < samples; i++) signal[i] = site.gain * (signal[i] as number) + site.offset;
  return signal;
}

function addImpacts(signal: Float32Array, site: Site, shaft: number, label: number, random: Random): void {
  const f = faultFrequencies(shaft);
  const rate = [0, f.outer, f.inner, f.ball][label] ?? 0;
  if (rate === 0) return;
  const modulation = [0, 0, shaft, f.cage][label] ?? 0;
  const severity = random.range(4, 8) * site.load;
  const ring = Math.ceil((5 / site.damping) * SAMPLE_RATE);
  for (let t = random.range(0, 1 / rate); t * SAMPLE_RATE < signal.length; t += (1 + 0.01 * random.normal()) / rate) {
    const zone = modulation > 0 ? 0.5 * (1 + Math.cos(2 * Math.PI * modulation * t)) : 1;
    const start = Math.ceil(t * SAMPLE_RATE);
    for (let i = start; i < Math.min(start + ring, signal.length); i++) {
      const dt = i / SAMPLE_RATE - t;
      const wave = Math.exp(-site.damping * dt) * Math.sin(2 * Math.PI * site.resonance * dt);
      signal[i] = (signal[i] as number) + severity * zone * wave;
    }
  }
}

/** 1 where a sample arrived. Gaps last 8 to 64 samples, as when packets are lost. */
function dropSamples(samples: number, share: number, random: Random): Uint8Array {
  const present = new Uint8Array(samples).fill(1);
  for (let lost = 0; lost < share * samples; ) {
    const gap = 8 + random.int(57);
    const start = random.int(samples - gap);
    present.fill(0, start, start + gap);
    lost += gap;
  }
  return present;
}

function normalise(signal: Float32Array, present: Uint8Array, from: number, out: Float32Array): void {
  let [sum, squares, n] = [0, 0, 0];
  for (let i = from; i < from + WINDOW; i++) {
    if (!present[i]) continue;
    const v = signal[i] as number;
    sum += v;
    squares += v * v;
    n++;
  }
  const mean = n > 0 ? sum / n : 0;
  const deviation = n > 1 ? Math.sqrt(Math.max(squares / n - mean * mean, 1e-12)) : 1;
  let last = 0;
  for (let i = 0; i < WINDOW; i++) {
    if (present[from + i]) last = ((signal[from + i] as number) - mean) / deviation;
    out[i] = last;
  }
}
