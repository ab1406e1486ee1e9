// Runs the page's modules on pictures that a Python test has written, and writes what they give beside them.
//
// `node worker-pipeline.mjs FOLDER`: FOLDER/jobs.json lists {name, call, ...}; FOLDER/results.json answers by name.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-web";

import { described, gainsFor } from "../../src/scotopic/web/static/balance.js";
import { developed, developer, uprightSize } from "../../src/scotopic/web/static/develop.js";
import { enhance, graphInputs, plan, prepared, preview } from "../../src/scotopic/web/static/enhance.js";
import { farthestApart } from "../../src/scotopic/web/static/engines.js";
import { binnedLight } from "../../src/scotopic/web/static/exposure.js";
import { LIGHT_OF_HALF, narrow } from "../../src/scotopic/web/static/half.js";
import { read } from "../../src/scotopic/web/static/read.js";
import { Network, spans, tiling } from "../../src/scotopic/web/static/run.js";
import { levels, sampled } from "../../src/scotopic/web/static/sample.js";

const folder = process.argv[2];
const bytesOf = async (path) => new Uint8Array(await readFile(join(folder, path)));
const textOf = async (path) => JSON.parse(await readFile(join(folder, path), "utf8"));

const constants = await textOf("constants.json");
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";
const network = new Network(ort, "wasm", async (path, made = (_, bytes) => bytes) => made(path, await bytesOf(path)));

/** A picture as Python has written it, or read from the file itself. */
async function captured({ file, data, floats, ...rest }) {
  if (file) return read(new Uint8Array(await readFile(file)), { name: file });
  const bytes = (await bytesOf(data)).slice();
  return { ...rest, data: floats ? new Float32Array(bytes.buffer) : new Uint16Array(bytes.buffer) };
}

async function enhanced(job) {
  const picture = await captured(job.captured);
  const made = plan(picture, constants, job.ratio ?? null);
  const shares = [];
  const light = await enhance(picture, made, network, {
    constants,
    pixels: job.pixels ?? 1e9,
    passes: job.passes,
    fringes: job.fringes,
    progress: (share) => shares.push(share),
  });
  return { picture, made, light, shares };
}

const calls = {
  async plan(job) {
    const picture = await captured(job.captured);
    const made = plan(picture, constants, job.ratio ?? null);
    const light = [...binnedLight(made.mosaic, constants)];
    const { exposure, noise, kept, dark, pale, replaced, mosaic, lateral } = made;
    const inputs = graphInputs(made, constants);
    return { replaced, exposure, noise, kept, dark, pale, lateral, inputs, cfa: mosaic.cfa, light };
  },
  async prepared(job) {
    const made = plan(await captured(job.captured), constants, job.ratio);
    const source = prepared(made, job.multiple, constants);
    const whole = (length) => Array.from({ length }, (_, i) => i);
    const piece = source.piece(whole(source.height), whole(source.width));
    await writeFile(join(folder, `${job.name}.out`), piece);
    return { height: source.height, width: source.width, top: source.top, left: source.left };
  },
  spans: (job) => job.cases.map((c) => spans(...c).map((s) => [s.start, s.stop, s.readStart, s.readStop])),
  tiling({ height, width, card, pixels }) {
    const { rows, columns, most, all } = tiling(height, width, card, pixels);
    return { rows: rows.length, columns: columns.length, most, all };
  },
  async enhance(job) {
    const { made, light, shares } = await enhanced(job);
    const { ev = 0, strength = 1, wb = "camera", look = "natural" } = job.settings ?? {};
    const gains = gainsFor(wb, light, constants, strength);
    const [width, height] = uprightSize(light);
    const view = { x: 0, y: 0, width, height };
    const planes = ["rgb", "plain"].map((which) => sampled([light], light, which, view, width, height));
    const mixed = planes[0].map((plane, c) => plane.map((v, i) => planes[1][c][i] + strength * (v - planes[1][c][i])));
    const shown = new Uint8Array(3 * width * height);
    developed(developer(light, { gains, gain: 2 ** ev, look }, constants), mixed, width * height, shown);
    await writeFile(join(folder, `${job.name}.out`), shown);
    return { width, height, ratio: made.exposure.ratio, noise: made.noise, clip: light.clip, gains, shares };
  },
  // Size and mean light of the quick picture and of the whole.
  async preview(job) {
    const picture = await captured(job.captured);
    const made = plan(picture, constants, job.ratio);
    const means = ({ height, width, rgb, plain }) => ({
      size: [height, width],
      light: [rgb, plain].map((halves) =>
        [0, 1, 2].map((c) => {
          const plane = halves.subarray(c * height * width, (c + 1) * height * width);
          return plane.reduce((sum, half) => sum + Math.min(LIGHT_OF_HALF[half], 1), 0) / plane.length;
        }),
      ),
    });
    const quick = await preview(picture, made, network, { constants, most: job.most });
    const light = await enhance(picture, made, network, { constants, pixels: 1e9 });
    return { quick: quick && means(quick), whole: means(light) };
  },
  async develop(job) {
    const floats = new Float32Array((await bytesOf(job.data)).slice().buffer);
    const planes = [0, 1, 2].map((c) => floats.subarray((c * floats.length) / 3, ((c + 1) * floats.length) / 3));
    const shown = new Uint8Array(floats.length);
    const { wb, look, gain } = job;
    developed(developer(job, { gains: wb, look, gain }, constants), planes, floats.length / 3, shown);
    await writeFile(join(folder, `${job.name}.out`), shown);
    return {};
  },
  // The whole picture at 1:1, a window of it, and the whole at a third, of light that Python has written.
  async views(job) {
    const floats = new Float32Array((await bytesOf(job.data)).slice().buffer);
    const rgb = new Uint16Array(floats.length);
    narrow(floats, rgb);
    const light = { ...job.light, rgb, plain: rgb };
    const stack = levels(light);
    const give = ([view, width, height]) => sampled(stack, light, "rgb", view, width, height).map((p) => [...p]);
    return { upright: uprightSize(light), views: job.views.map(give) };
  },
  async halves(job) {
    const floats = new Float32Array((await bytesOf(job.data)).slice().buffer);
    const out = new Uint16Array(floats.length);
    const finite = narrow(floats, out);
    await writeFile(join(folder, `${job.name}.out`), out);
    return { finite, back: [...out.subarray(0, 16)].map((h) => LIGHT_OF_HALF[h]) };
  },
  balance({ light, choices }) {
    return choices.map((choice) => {
      try {
        const gains = gainsFor(choice, light, constants);
        return { gains, described: described(gains, light, choice) };
      } catch (error) {
        return { refused: error.message };
      }
    });
  },
  // What a picture that the model makes nothing of, a cancelled one and an engine that disagrees lead to.
  async refused(job) {
    const picture = await captured(job.captured);
    const made = plan(picture, constants, job.ratio ?? null);
    const words = [];
    const go = () => {
      if (job.cancelAfter !== undefined && words.length >= job.cancelAfter) throw new Error("cancelled");
    };
    try {
      await enhance(picture, made, network, { constants, pixels: job.pixels, go, progress: (s) => words.push(s) });
    } catch (error) {
      return { code: error.code ?? "", words: error.message, tiles: words.length };
    }
    return { code: null, tiles: words.length };
  },
  apart({ a, b }) {
    const tile = (values, finite = true) => {
      const halves = new Uint16Array(values.length);
      narrow(Float32Array.from(values), halves);
      return { rgb: halves, plain: halves, finite };
    };
    return { apart: farthestApart(tile(a), tile(b)), broken: farthestApart(tile(a), tile(a, false)) };
  },
};

const results = {};
for (const job of await textOf("jobs.json")) {
  try {
    results[job.name] = await calls[job.call](job);
  } catch (error) {
    results[job.name] = { error: String(error.stack ?? error), code: error.code };
  }
}
// JSON knows no Infinity.
const spelled = (_, value) => (value === Infinity ? "Infinity" : value);
await writeFile(join(folder, "results.json"), JSON.stringify(results, spelled));
process.exit(0);
