// The worker from end to end in a real Chromium: its messages, its pictures beside Python's, its engines.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { remove, serve, temporary } from "./browser.mjs";
import { launchFor, startWorker } from "./worker-driver.mjs";

const root = new URL("../../", import.meta.url).pathname;
const python = process.env.PYTHON ?? join(root, ".venv/bin/python");

const pictures = join(root, "tests/page/worker-pictures.py");

let folder, site, browser, files;

before(async () => {
  folder = await temporary();
  const { stdout } = await promisify(execFile)(python, [pictures, "make", folder]);
  files = JSON.parse(stdout);
  site = await serve("--page-only");
  browser = await launchFor("wasm");
});

after(async () => {
  await browser?.close();
  await site?.stop();
  if (folder) await remove(folder);
});

/** {mean, most} by which RGBA bytes are off from Python's RGB. */
async function apart(rgba, path) {
  const rgb = await readFile(path);
  assert.equal(rgba.length / 4, rgb.length / 3, "both have the same size");
  let [sum, most] = [0, 0];
  for (let i = 0, j = 0; j < rgb.length; i += 4)
    for (let c = 0; c < 3; c++, j++) {
      const off = Math.abs(rgba[i + c] - rgb[j]);
      sum += off;
      if (off > most) most = off;
    }
  return { mean: sum / rgb.length, most };
}

function assertSame({ mean, most }) {
  assert.ok(mean < 1 && most <= 3, `off by ${mean.toFixed(3)} on average, ${most} at most`);
}

const settings = { ev: 0, strength: 1, wb: "camera" };

async function opened(worker, id, file) {
  await worker.open(id, file.path);
  const found = await worker.heard(["opened", "failed"], id);
  assert.equal(found.type, "opened", found.words);
  const quick = await worker.heard(["preview", "failed"], id);
  assert.equal(quick.type, "preview", quick.words);
  return { info: found.info, preview: quick };
}

async function whole(worker, id, file, which = "enhanced", changes = {}) {
  const view = { x: 0, y: 0, width: file.width, height: file.height };
  const message = { type: "render", id, which, settings: { ...settings, ...changes }, view };
  await worker.ask({ ...message, outWidth: file.width, outHeight: file.height, serial: 7 });
  const drawn = await worker.heard(["rendered", "failed"], id);
  assert.equal(drawn.type, "rendered", drawn.words);
  return drawn;
}

test("a picture is opened, shown at once, enhanced as by Python, and saved", async () => {
  const worker = await startWorker(browser, site.url, "wasm");
  assert.ok(worker.isolated, "the server isolates the page, so that threads can be used");
  const ready = await worker.heard(["ready", "failed"]);
  assert.equal(ready.engine, "wasm");
  const file = files.small;
  const { info, preview } = await opened(worker, 1, file);
  assert.equal(info.width, file.width);
  assert.equal(info.height, file.height);
  assert.ok(Math.abs(info.ratio / file.ratio - 1) < 1e-3);
  assert.equal(info.noiseSource, file.noise);
  assert.equal(info.orientation, 6);
  assert.ok(preview.image.width > 100 && preview.image.height > preview.image.width, "the preview stands upright");
  // The preview answers for the picture until the work is done.
  const early = await whole(worker, 1, file);
  assert.deepEqual(early.image, { width: file.width, height: file.height });
  const soft = await apart(await worker.bytes(), file.rgb);
  assert.ok(soft.mean < 12, `the preview has the picture's light and colour: off by ${soft.mean}`);
  await worker.ask({ type: "enhance", id: 1 });
  const done = await worker.heard(["enhanced", "failed"], 1);
  assert.equal(done.type, "enhanced", done.words);
  assert.ok((await worker.count("progress")) >= 2);
  await whole(worker, 1, file);
  assertSame(await apart(await worker.bytes(), file.rgb));
  await whole(worker, 1, file, "traditional");
  assertSame(await apart(await worker.bytes(), file.plain));
  const balanced = [];
  for (const strength of [1, 0]) {
    await whole(worker, 1, file, "traditional", { wb: "auto", strength });
    balanced.push(await worker.bytes());
  }
  assert.deepEqual(...balanced, "the traditional one is the same whatever the strength");
  const brighter = await whole(worker, 1, file, "enhanced", { ev: 1, wb: { temperature_k: 4000, tint: 10 } });
  assert.ok(Math.abs(brighter.wb.temperature_k - 4000) < 40);
  await worker.ask({ type: "enhance", id: 1 });
  assert.equal((await worker.heard(["enhanced", "failed"], 1)).seconds, 0, "what is done is not done again");
  await worker.ask({ type: "save", id: 1, settings, format: "jpg", quality: 98 });
  const saved = await worker.heard(["saved", "failed"], 1);
  assert.equal(saved.type, "saved", saved.words);
  assert.equal(saved.name, "small-scotopic.jpg");
  const jpeg = await worker.bytes();
  assert.deepEqual([...jpeg.subarray(0, 3)], [0xff, 0xd8, 0xff]);
  const code = "import sys,io,numpy as np;from PIL import Image;p=Image.open(sys.argv[1]).convert('RGB');"
    + "w=np.fromfile(sys.argv[2],np.uint8).reshape(p.height,p.width,3).astype(int);"
    + "print(np.abs(np.asarray(p)-w).mean())";
  const path = join(folder, "saved.jpg");
  await writeFile(path, jpeg);
  const { stdout } = await promisify(execFile)(python, ["-c", code, path, file.rgb]);
  assert.ok(Number(stdout) < 2, `the JPEG shows Python's picture: off by ${stdout}`);
  await worker.ask({ type: "save", id: 1, settings: { ...settings, ev: 1 }, format: "dng" });
  const dng = await worker.heard(["saved", "failed"], 1);
  assert.equal(dng.name, "small-scotopic.dng", dng.words);
  const target = join(folder, "saved.dng");
  await writeFile(target, await worker.bytes());
  const { mean, most } = JSON.parse((await promisify(execFile)(python, [pictures, "compare", file.path, target])).stdout);
  assert.ok(mean < 1e-3 && most < 0.02, `the DNG holds Python's light, a stop brighter: off by ${mean}, ${most}`);
  await worker.ask({ type: "close", id: 1 });
  assert.deepEqual(worker.errors, []);
  await worker.close();
});

test("work is cancelled between tiles, files that are none are refused, and the next is done", async () => {
  const worker = await startWorker(browser, site.url, "wasm-single");
  assert.equal((await worker.heard(["ready", "failed"])).threads, 1);
  await worker.open(1, join(root, "examples/dark_eagles.dng"));
  assert.equal((await worker.heard(["opened", "failed"], 1)).type, "opened");
  await worker.ask({ type: "enhance", id: 1 });
  await worker.ask({ type: "cancel", id: 1 });
  assert.equal((await worker.heard(["cancelled", "enhanced", "failed"], 1)).type, "cancelled");
  await worker.open(2, join(root, "README.md"), "IMG_1.ARW");
  const refused = await worker.heard(["opened", "failed"], 2);
  assert.equal(refused.type, "failed");
  assert.equal(refused.code, "not-raw");
  await worker.ask({ type: "render", id: 2, which: "enhanced", settings, outWidth: 8, outHeight: 8, serial: 3 });
  const nothing = await worker.heard(["rendered", "failed"], 2);
  assert.equal(nothing.type, "failed");
  assert.equal(nothing.serial, 3);
  await opened(worker, 3, files.tiny);
  await worker.ask({ type: "enhance", id: 3 });
  assert.equal((await worker.heard(["enhanced", "failed"], 3)).type, "enhanced");
  assert.deepEqual(worker.errors, []);
  await worker.close();
});

test("a graphics processor is used once a tile of it agreed, and gives Python's picture", async () => {
  const graphics = await launchFor("webgpu");
  try {
    const worker = await startWorker(graphics, site.url, "webgpu");
    const ready = await worker.heard(["ready", "failed"]);
    assert.equal(ready.engine, "webgpu", ready.refused);
    const file = files.tiny;
    await opened(worker, 1, file);
    await worker.ask({ type: "enhance", id: 1 });
    const done = await worker.heard(["enhanced", "failed"], 1);
    assert.equal(done.type, "enhanced", done.words);
    assert.equal(done.engine, "webgpu");
    await whole(worker, 1, file);
    assertSame(await apart(await worker.bytes(), file.rgb));
    await worker.close();
  } finally {
    await graphics.close();
  }
});

test("without a graphics processor the processor does the work", async () => {
  await fallsBack(browser, /no graphics processor/);
});

test("a graphics processor whose light is off is not used", async () => {
  const graphics = await launchFor("webgpu");
  try {
    // No real one that is wrong can be had: in its place stands the processor, with one value in the middle off.
    const wrong = `import * as ort from "./ort.wasm.min.mjs";
      export const { env, Tensor } = ort;
      export const InferenceSession = {
        async create(graph, options) {
          ort.env.wasm.wasmBinary = undefined; // That is the graphics processor's; it fetches its own.
          const session = await ort.InferenceSession.create(graph, { ...options, executionProviders: ["wasm"] });
          const run = async (...words) => {
            const outputs = await session.run(...words);
            const middle = (outputs.rgb.dims[2] + 1) * (outputs.rgb.dims[3] >> 1);
            outputs.rgb.data[middle] += 0.5;
            return outputs;
          };
          return { run };
        },
      };`;
    const spoil = (route) => route.fulfill({ contentType: "text/javascript", body: wrong });
    await fallsBack(graphics, /its light is off by 0.5/, { "**/vendor/ort.webgpu.min.mjs": spoil });
  } finally {
    await graphics.close();
  }
});

/** Asked for WebGPU, the worker says why not, and works on the processor. */
async function fallsBack(browser, why, routes = {}) {
  const worker = await startWorker(browser, site.url, "webgpu", routes);
  const ready = await worker.heard(["ready", "failed"]);
  assert.equal(ready.engine, "wasm");
  assert.match(ready.refused, why);
  await opened(worker, 1, files.tiny);
  await worker.ask({ type: "enhance", id: 1 });
  assert.equal((await worker.heard(["enhanced", "failed"], 1)).engine, "wasm");
  await whole(worker, 1, files.tiny);
  assertSame(await apart(await worker.bytes(), files.tiny.rgb));
  await worker.close();
}
