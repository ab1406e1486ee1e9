// Which engine the network runs on: the processor, or the graphics processor once it has given the same.

import { newWorker } from "./device.js";
import { ScotopicError } from "./errors.js";
import { LIGHT_OF_HALF } from "./half.js";

/** Sides of the tiles by which engines are compared, in size multiples of the model: their light, their speed. */
const TRIAL = 4;
const RACE = 10;

/** How far the engines' light may lie apart, in shares of display white: half a step of 8 bits. */
export const AGREES = 1 / 512;

/** The browser itself loads the modules of which a worker is made, and tells nothing of how far it is. */
const START_MS = 120_000;

/** A network in its own worker; the same `open` and `tile` as run.js's Network. */
export class Engine {
  /**
   * `kind` is "wasm", "wasm-single" or "webgpu"; `bytes` tells files' sizes by their paths, `fetched` hears of their
   * download: {loaded, total}. Throws `engine`, `download` or `lacking` where it cannot be started.
   */
  static async start(base, kind, { bytes = {}, fetched = () => {} } = {}) {
    const engine = new Engine(kind, fetched);
    const late = () => engine.stop(`network.js: it did not come within ${START_MS / 1000} s`, "download");
    const timer = setTimeout(late, START_MS);
    try {
      const { threads } = await engine.ask("start", { base, engine: kind, bytes });
      engine.threads = threads;
      return engine;
    } catch (error) {
      engine.stop();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  constructor(kind, fetched) {
    this.kind = kind;
    this.waiting = new Map();
    this.serial = 0;
    this.download = { loaded: 0, total: 0 };
    this.worker = newWorker("network.js");
    this.worker.addEventListener("message", ({ data: { asked, result, failure, download } }) => {
      if (this.stopped) return;
      if (download) {
        this.download = download;
        fetched(download);
        return;
      }
      const { done, failed } = this.waiting.get(asked);
      this.waiting.delete(asked);
      if (!failure) return done(result);
      failed(new ScotopicError(failure.code, failure.words));
      // What ended the runtime's own start or work may have ended it for good: the next try is given a new worker.
      if (failure.code === "engine") this.stop(failure.words);
    });
    this.worker.addEventListener("error", (event) => {
      event.preventDefault();
      // Of an error in its script there are words; of one that did not come there are none.
      if (event.message) this.stop(event.message);
      else this.stop("network.js: it could not be loaded", "download");
    });
  }

  ask(call, rest, transfer = []) {
    if (this.stopped) return Promise.reject(new ScotopicError("engine", this.stopped));
    return new Promise((done, failed) => {
      const asked = ++this.serial;
      this.waiting.set(asked, { done, failed });
      this.worker.postMessage({ call, asked, ...rest }, transfer);
    });
  }

  open(name) {
    return this.ask("open", { name });
  }

  tile(name, mosaic, size, inputs, cut, monochrome, spare = null) {
    const halves = spare && { rgb: spare.rgb, plain: spare.plain };
    const transfer = [mosaic, ...Object.values(halves ?? {})].map(({ buffer }) => buffer);
    return this.ask("tile", { name, mosaic, size, inputs, cut, monochrome, spare: halves }, transfer);
  }

  /** Ends the worker and gives its memory back; what is under way fails. */
  stop(words = "the network was stopped", code = "engine") {
    this.stopped = words;
    this.worker.terminate();
    for (const { failed } of this.waiting.values()) failed(new ScotopicError(code, words));
    this.waiting.clear();
  }
}

/** A module that uses a vector instruction, which the network's runtime is full of. */
const VECTORS = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
];

/**
 * Sees that there is what no engine goes without. Throws `lacking` with what the browser has not, as browsers' makers
 * call it, or `forbidden` where the page's host lets no WebAssembly run.
 */
export function checkBrowser() {
  const lacks = (what) => new ScotopicError("lacking", `this browser has no ${what}`, { what });
  if (typeof WebAssembly !== "object") throw lacks("WebAssembly");
  const module = Uint8Array.from(VECTORS);
  if (!WebAssembly.validate(module)) throw lacks("WebAssembly SIMD");
  try {
    new WebAssembly.Module(module);
  } catch (error) {
    // It is sound, and so it is the host's content policy that the browser obeys.
    throw new ScotopicError("forbidden", error.message);
  }
}

/** Whether this browser has a graphics processor that is worth trying; a simulated one only where it is asked for. */
export async function hasGraphics(simulatedToo = false) {
  try {
    const adapter = await globalThis.navigator?.gpu?.requestAdapter();
    if (!adapter) return false;
    return simulatedToo || !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
  } catch {
    return false;
  }
}

/**
 * A started WebGPU engine whose tile agreed with `trusted`'s, or {refused: why}. In `auto` it must also have been
 * the faster of the two.
 */
export async function trial(base, trusted, name, { auto }) {
  let engine = null;
  try {
    engine = await Engine.start(base, "webgpu");
    const apart = farthestApart(await trialTile(engine, name, TRIAL), await trialTile(trusted, name, TRIAL));
    let refused = apart <= AGREES ? "" : `its light is off by ${apart.toPrecision(2)} of display white`;
    if (!refused && auto && (await lap(engine, name)) > (await lap(trusted, name)))
      refused = "it is slower than the processor";
    if (!refused) return { engine };
    engine.stop();
    return { refused };
  } catch (error) {
    engine?.stop();
    return { refused: String(error.message ?? error) };
  }
}

/** Seconds that a larger tile takes, the second time: the first compiles shaders. */
async function lap(engine, name) {
  await trialTile(engine, name, RACE);
  const start = performance.now();
  await trialTile(engine, name, RACE);
  return (performance.now() - start) / 1000;
}

/** {rgb, plain} of one tile that every engine is given: a gradient with an edge, at a high ratio. */
async function trialTile(engine, name, multiples) {
  const card = await engine.open(name);
  const side = multiples * card.size_multiple;
  const mosaic = Float32Array.from({ length: side * side }, (_, i) => {
    const [x, y] = [i % side, Math.floor(i / side)];
    return 512 + x / 8 + ((x * 7919 + y * 104729) % 31) + (x + y > side ? 60 : 0);
  });
  const planes = card.cfa === "bayer" ? 4 : 3;
  const all = (value) => Array(planes).fill(value);
  const wb = planes === 4 ? [2, 1, 1, 1.6] : [2, 1, 1.6];
  const inputs = { black: all(512), white: all(16383), wb, shot: all(2e-4), read: all(2e-7), ratio: 100, gains: [1, 1, 1] };
  // As in a picture's middle, where the graph leaves out what is cut off.
  const off = 2 * (card.edge ?? 0);
  const cut = { top: off, left: off, bottom: side - off, right: side - off };
  return engine.tile(name, mosaic, [side, side], inputs, cut);
}

/** The largest difference of two tiles' light, Infinity where one is no number. */
export function farthestApart(a, b) {
  let most = 0;
  for (const key of ["rgb", "plain"])
    for (let i = 0; i < a[key].length; i++) {
      const apart = Math.abs(LIGHT_OF_HALF[a[key][i]] - LIGHT_OF_HALF[b[key][i]]);
      if (!(apart <= most)) most = Number.isNaN(apart) ? Infinity : apart;
    }
  return a.finite && b.finite ? most : Infinity;
}
