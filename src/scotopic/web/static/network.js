// The network in a worker of its own, so that the one that draws is free meanwhile, and its memory can be given back.

import { loadRuntime, Network, readFrom, threadsFor } from "./run.js";

let network = null;

const work = {
  async start({ base, engine }) {
    const threads = threadsFor(engine);
    const provider = engine === "webgpu" ? "webgpu" : "wasm";
    network = new Network(await loadRuntime(base, engine, threads), provider, (path) => readFrom(base, path));
    return [{ threads }];
  },
  async open({ name }) {
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
    self.postMessage({ asked, failure: { code: memory ? "memory" : "engine", words } });
  }
});
