// ONNX Runtime sessions and tiles: a mosaic of any size through a model in bounded memory.

import { ScotopicError } from "./errors.js";
import { narrow, widened } from "./half.js";
import { checkedWasm, parsed } from "./parts.js";
import { release, reused } from "./release.js";

/** Names that the graph's contract gives to inputs, and to the outputs of models of kind linear. */
const BY_PLANE = ["black", "white", "wb", "shot", "read"];
const OUTPUTS = ["rgb", "plain"];

/** The file with the weights that the graph itself does not hold, as the graph calls it. */
const WEIGHTS = "weights.bin";

/** Threads that help: beyond, phones have only slow cores left. */
const THREADS_MAX = 4;

/**
 * Cut an axis into `count` tiles that all read about as much: those at the ends have one halo only, and so more of
 * the picture than those between. They start on multiples of `multiple`; [{start, stop, readStart, readStop}].
 */
export function spans(length, count, halo, multiple) {
  const reads = Math.ceil((length + 2 * halo * (count - 1)) / (count * multiple)) * multiple;
  const found = [];
  for (let start = 0; start < length; ) {
    const halos = start === 0 ? halo : 2 * halo;
    const stop = count === 1 || length - start <= reads - halo ? length : start + Math.max(reads - halos, multiple);
    found.push({ start, stop, readStart: Math.max(0, start - halo), readStop: Math.min(length, stop + halo) });
    start = stop;
  }
  return found;
}

/** Tiles of a picture, {rows, columns}: those that read least among those that read at most `pixels` at once. */
export function tiling(height, width, { halo, size_multiple: multiple }, pixels) {
  const cuts = (length) =>
    Array.from({ length: Math.ceil(length / multiple) }, (_, n) => {
      const axis = spans(length, n + 1, halo, multiple);
      const reads = axis.map((s) => s.readStop - s.readStart);
      return { axis, most: Math.max(...reads), all: reads.reduce((a, b) => a + b) };
    });
  const across = cuts(width);
  let best = null;
  for (const rows of cuts(height))
    for (const columns of across) {
      const [most, all] = [rows.most * columns.most, rows.all * columns.all];
      const fits = most <= pixels;
      const better = !best || (fits !== best.fits ? fits : fits ? all < best.all : most < best.most);
      if (better) best = { fits, most, all, rows: rows.axis, columns: columns.axis };
    }
  return best;
}

/**
 * How many pixels at the top, left, bottom and right a graph is to leave out of [height, width], where `cut` is kept
 * and its card tells that `edge`.
 */
export function trimmed(cut, [height, width], edge) {
  const ends = [cut.top, cut.left, height - cut.bottom, width - cut.right];
  return ends.map((n) => (edge ? Math.max(0, Math.floor(n / edge) - 1) * edge : 0));
}

/** Model folders under `base`, opened once each, on one engine: "wasm" or "webgpu". */
export class Network {
  /**
   * `ort` is ONNX Runtime's module, `read` is `part` of parts.js for files below the base. `runtime` is the path of
   * ONNX Runtime's own large file: it would fetch that itself, and where that failed never again.
   */
  constructor(ort, engine, read, runtime = "") {
    this.ort = ort;
    this.engine = engine;
    this.read = read;
    this.runtime = runtime;
    this.coming = null;
    this.models = new Map();
  }

  /** The card of a model, once its session stands. Throws `engine` where it cannot be opened. */
  async open(name) {
    if (!this.models.has(name)) this.models.set(name, this.opened(name));
    try {
      return (await this.models.get(name)).card;
    } catch (error) {
      this.models.delete(name);
      throw error;
    }
  }

  async opened(name) {
    const folder = `models/${name}`;
    const card = await this.read(`${folder}/card.json`, parsed);
    if (card.kind !== "linear")
      throw new ScotopicError("engine", `${name}: gives finished sRGB pictures; the page runs models of kind linear`);
    const [graph, weights] = await Promise.all([
      this.read(`${folder}/model.onnx`),
      this.read(`${folder}/${WEIGHTS}`),
      this.equipped(),
    ]);
    const floats = widened(new Uint16Array(weights.buffer, weights.byteOffset, weights.length >> 1));
    const session = await this.ort.InferenceSession.create(graph, {
      executionProviders: [this.engine],
      graphOptimizationLevel: "all",
      externalData: floats.length ? [{ path: WEIGHTS, data: new Uint8Array(floats.buffer) }] : [],
    });
    this.freed();
    return { card, session };
  }

  /** Sees that ONNX Runtime has its large file. */
  equipped() {
    if (!this.runtime) return null;
    this.coming ??= this.read(this.runtime, checkedWasm)
      .then((bytes) => {
        this.ort.env.wasm.wasmBinary = bytes.buffer;
      })
      .catch((error) => {
        this.coming = null;
        throw error;
      });
    return this.coming;
  }

  /** Gives back the bytes of which ONNX Runtime has made what it runs. */
  freed() {
    const { wasm } = this.ort.env;
    if (wasm.wasmBinary) release(new Uint8Array(wasm.wasmBinary));
    wasm.wasmBinary = undefined;
  }

  /**
   * One tile through a model: {rgb, plain, finite, mosaic}, halves of the part `cut` ({top, left, bottom, right}) of
   * its three planes. `mosaic` holds [height, width] values in DN; of `monochrome` pictures the colours' mean counts.
   * `spare` is an earlier tile, whose memory is used again.
   */
  async tile(name, mosaic, [height, width], inputs, cut, monochrome = false, spare = null) {
    await this.open(name);
    const { card, session } = await this.models.get(name);
    const tensor = (values, dims) => new this.ort.Tensor("float32", values, dims);
    const feeds = { mosaic: tensor(mosaic, [1, 1, height, width]), ratio: tensor(Float32Array.of(inputs.ratio), [1]) };
    for (const key of BY_PLANE) feeds[key] = tensor(Float32Array.from(inputs[key]), [inputs[key].length]);
    const trim = trimmed(cut, [height, width], card.edge);
    if (card.edge) feeds.trim = new this.ort.Tensor("int64", BigInt64Array.from(trim, BigInt), [4]);
    const [top, left, bottom, right] = trim;
    const [across, down] = [width - left - right, height - top - bottom];
    const outputs = await session.run(feeds, OUTPUTS);
    const result = { finite: true, mosaic };
    for (const key of OUTPUTS) {
      const light = await outputs[key].getData();
      balance(light, inputs.gains);
      if (monochrome && key === "rgb") evenOut(light);
      const size = (cut.bottom - cut.top) * (cut.right - cut.left);
      const halves = reused(Uint16Array, spare?.[key], 3 * size);
      let at = 0;
      for (let c = 0; c < 3; c++)
        for (let y = cut.top - top; y < cut.bottom - top; y++) {
          const start = (c * down + y) * across - left;
          if (!narrow(light.subarray(start + cut.left, start + cut.right), halves, at)) result.finite = false;
          at += cut.right - cut.left;
        }
      result[key] = halves;
      outputs[key].dispose();
      release(light);
    }
    return result;
  }
}

/** ONNX Runtime's large file, by execution provider. The module beside it, of the same name, goes with it. */
export const RUNTIMES = {
  wasm: "vendor/ort-wasm-simd-threaded.wasm",
  webgpu: "vendor/ort-wasm-simd-threaded.asyncify.wasm",
};

/**
 * ONNX Runtime for an execution provider, with its files below `base`; threads where the page is isolated. Throws
 * `download`, and only another worker can load it then: browsers may keep in mind which modules did not come.
 */
export async function loadRuntime(base, provider, threads) {
  const load = (file) =>
    import(new URL(file, base).href).catch((error) => {
      throw new ScotopicError("download", `${file}: ${error.message}`);
    });
  const main = `vendor/${provider === "webgpu" ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs"}`;
  // ONNX Runtime loads the second only with the first model, and would never try again.
  const [ort] = await Promise.all([load(main), load(RUNTIMES[provider].replace(/wasm$/, "mjs"))]);
  ort.env.wasm.wasmPaths = new URL("vendor/", base).href;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  return ort;
}

/** How many threads an engine may use here; one where memory cannot be shared between them. */
export function threadsFor(engine) {
  if (engine === "wasm-single" || !globalThis.crossOriginIsolated) return 1;
  return Math.min(THREADS_MAX, globalThis.navigator?.hardwareConcurrency ?? 1);
}

/** Light of three planes times a gain each, in place. */
function balance(light, gains) {
  const size = light.length / 3;
  gains.forEach((gain, c) => {
    if (gain !== 1) for (let i = c * size; i < (c + 1) * size; i++) light[i] *= gain;
  });
}

function evenOut(light) {
  const size = light.length / 3;
  for (let i = 0; i < size; i++) {
    const mean = (light[i] + light[size + i] + light[2 * size + i]) / 3;
    light[i] = light[size + i] = light[2 * size + i] = mean;
  }
}
