// The network in a worker of its own, so that the one that draws is free meanwhile, and its memory can be given back.

import { Download } from "./download.js";
import { ScotopicError } from "./errors.js";
import { part } from "./parts.js";
import { loadRuntime, Network, RUNTIMES, threadsFor } from "./run.js";

let network = null;
let download = null;

const work = {
  async start({ base, engine, bytes }) {
    const threads = threadsFor(engine);
    const provider = engine === "webgpu" ? "webgpu" : "wasm";
    download = new Download(bytes, RUNTIMES[provider], (now) => self.postMessage({ download: now }));
    const read = (path, made) => part(base, path, made, (count) => download.came(count));
    network = new Network(await loadRuntime(base, provider, threads), provider, read, RUNTIMES[provider]);
    return [{ threads }];
  },
  async open({ name }) {
    download.expect(name);
    return [await network.open(name)];
  },
  async tile({ name, mosaic, size, inputs, cut, monochrome, spare }) {
    const tile = await network.tile(name, mosaic, size, inputs, cut, monochrome, spare);
    return [tile, [tile.rgb.buffer, tile.plain.buffer, tile.mosaic.buffer]];
  },
};

self.addEventListener("message", async ({ data: { call, asked, ...rest } }) => {
  try {
    const [result, transfer = []] = await work[call](rest);
    self.postMessage({ asked, result }, transfer);
  } catch (error) {
    // ONNX Runtime's WASM throws bare numbers where its memory is spent.
    const words = typeof error === "number" ? "out of memory" : String(error?.message ?? error);
    const memory = /memory|alloc|OOM/i.test(words);
    const code = error instanceof ScotopicError ? error.code : memory ? "memory" : "engine";
    self.postMessage({ asked, failure: { code, words } });
  }
});
