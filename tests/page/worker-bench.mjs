// One engine's laps for benchmarks/page.py: worker-bench.mjs URL FILE ENGINE LAPS PASSES, JSON out.

import { launchFor, startWorker } from "./worker-driver.mjs";

const [url, path, engine, laps, passes] = process.argv.slice(2);
const SCREEN = [1200, 800];
const PATIENCE_MS = 1_800_000;

const browser = await launchFor(engine);
const worker = await startWorker(browser, url, engine);
const ready = await worker.heard(["ready", "failed"]);
const rounds = [];

/** Seconds in the page until a message came, and the message. */
async function lap(message, type, id) {
  const start = await worker.page.evaluate(() => performance.now());
  await (typeof message === "function" ? message() : worker.ask(message));
  const found = await worker.heard([type, "failed"], id, PATIENCE_MS);
  if (found.type === "failed") throw new Error(`${engine}: ${found.code}: ${found.words}`);
  return [(found.at - start) / 1000, found];
}

const settings = { ev: 0, strength: 1, wb: "camera", passes: Number(passes) };
for (let id = 1; id <= Number(laps); id++) {
  const [opened, { info }] = await lap(() => worker.open(id, path), "opened", id);
  const [quick] = await lap(() => {}, "preview", id);
  const [enhanced] = await lap({ type: "enhance", id, settings }, "enhanced", id);
  const view = { x: 0, y: 0, width: info.width, height: info.height };
  const render = { type: "render", id, which: "enhanced", view, outWidth: SCREEN[0], outHeight: SCREEN[1], serial: 1 };
  const [first] = await lap({ ...render, settings }, "rendered", id);
  const [slider] = await lap({ ...render, settings: { ...settings, ev: 0.5 } }, "rendered", id);
  const [strength] = await lap({ ...render, settings: { ...settings, strength: 0.5 } }, "rendered", id);
  const [saved] = await lap({ type: "save", id, settings, format: "jpg" }, "saved", id);
  await worker.ask({ type: "close", id });
  rounds.push({ opened, preview: opened + Math.max(quick, 0), enhanced, view: first, slider, strength, saved });
}
console.log(JSON.stringify({ engine: ready.engine, threads: ready.threads, refused: ready.refused, rounds }));
await browser.close();
