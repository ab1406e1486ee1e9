// The page's worker alone in a real Chromium: what the worker's test and benchmarks/page.py share.

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { chromium } from "playwright-core";

const PLAIN = [
  "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync",
];
// A graphics processor simulated by the processor: slow, and the same code paths.
const SIMULATED = [
  "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan", "--use-angle=swiftshader",
  "--enable-unsafe-swiftshader",
];

export function launchFor(engine) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [...PLAIN, ...(engine === "webgpu" ? SIMULATED : ["--disable-gpu"])],
  });
}

/** A worker in a page of the site at `url`, told its engine; `routes` stand in for some of its files. */
export async function startWorker(browser, url, engine, routes = {}) {
  const context = await browser.newContext();
  for (const [glob, handler] of Object.entries(routes)) await context.route(glob, handler);
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  // A page of the site that starts no worker of its own.
  await page.goto(new URL("constants.json", url).href);
  const isolated = await page.evaluate(
    ([base, engine]) => {
      self.messages = [];
      self.worker = new Worker(new URL("worker.js", base), { type: "module" });
      self.worker.onerror = (event) => self.messages.push({ type: "broken", words: event.message });
      self.worker.onmessage = ({ data }) => self.messages.push({ ...data, at: performance.now() });
      self.worker.postMessage({ type: "configure", base, engine });
      return self.crossOriginIsolated;
    },
    [url, engine],
  );

  const ask = (message) => page.evaluate((message) => self.worker.postMessage(message), message);

  /** The first message not heard before that is one of the types and of the picture; pixels as an array. */
  const heard = async (types, id = undefined, timeout = 300_000) => {
    const handle = await page.waitForFunction(
      ([types, id]) => {
        const at = self.messages.findIndex(
          (m) => !m.used && (types.includes(m.type) || m.type === "broken") && (id === undefined || m.id === id || m.id === undefined),
        );
        if (at < 0) return null;
        self.messages[at].used = true;
        const { image, blob, ...rest } = self.messages[at];
        if (image) rest.image = { width: image.width, height: image.height };
        self.last = { image, blob };
        return rest;
      },
      [types, id],
      { timeout, polling: 20 },
    );
    return handle.jsonValue();
  };

  /** The bytes of the picture or the file in the message heard last. */
  const bytes = async () => {
    const base64 = await page.evaluate(async () => {
      const { image, blob } = self.last;
      const content = blob ?? new Blob([image.data]);
      const url = await new Promise((done) => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result);
        reader.readAsDataURL(content);
      });
      return url.slice(url.indexOf(",") + 1);
    });
    return Buffer.from(base64, "base64");
  };

  const open = async (id, path, as = basename(path)) => {
    await page.evaluate(() => {
      document.querySelector("input")?.remove();
      document.body.append(Object.assign(document.createElement("input"), { type: "file" }));
    });
    const named = { name: as, mimeType: "application/octet-stream" };
    await page.setInputFiles("input", as === basename(path) ? path : { ...named, buffer: await readFile(path) });
    await page.evaluate((id) => {
      const [file] = document.querySelector("input").files;
      self.worker.postMessage({ type: "open", id, file });
    }, id);
  };

  /** How many messages of a type came so far. */
  const count = (type) => page.evaluate((type) => self.messages.filter((m) => m.type === type).length, type);

  return { ask, heard, bytes, open, count, errors, isolated, page, close: () => context.close() };
}
