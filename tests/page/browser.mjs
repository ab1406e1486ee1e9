// What the tests of the page share: a real Chromium, the page's two servers, and Python to judge by.

import { execFile, spawn } from "node:child_process";
import { createServer } from "node:http";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

const root = new URL("../../", import.meta.url).pathname;
const python = process.env.PYTHON ?? join(root, ".venv/bin/python");
const run = promisify(execFile);

/** tests/page/pictures.py's answer. */
export async function pictures(...words) {
  const { stdout } = await run(python, [join(root, "tests/page/pictures.py"), ...words]);
  return JSON.parse(stdout);
}

export const temporary = () => mkdtemp(join(tmpdir(), "scotopic-page-"));
export const remove = (folder) => rm(folder, { recursive: true, force: true });

/** `scotopic serve` on a free port: {url, stop}. */
export async function serve(...options) {
  const process = spawn(python, ["-m", "scotopic", "serve", "--port", "0", ...options], { cwd: root });
  let said = "";
  const url = await new Promise((resolve, reject) => {
    const hear = (data) => {
      said += data;
      const found = said.match(/http:\/\/\S+/);
      if (found) resolve(found[0]);
    };
    process.stdout.on("data", hear);
    process.stderr.on("data", hear);
    process.on("exit", () => reject(new Error(`scotopic serve ended: ${said}`)));
  });
  return { url, stop: () => ended(process) };
}

function ended(process) {
  return new Promise((resolve) => {
    if (process.exitCode !== null || process.signalCode !== null) return resolve();
    process.on("exit", resolve);
    process.kill("SIGTERM");
  });
}

/** The page written by `scotopic site`. */
export async function writeSite(folder) {
  await run(python, ["-m", "scotopic", "site", folder], { cwd: root });
}

const TYPES = {
  ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".json": "application/json",
  ".wasm": "application/wasm", ".svg": "image/svg+xml", ".webp": "image/webp", ".png": "image/png", ".txt": "text/plain",
  ".webmanifest": "application/manifest+json",
};

/**
 * Any plain static host: no headers of its own, so that only the service worker can isolate the page. `fails(path, headers)` gives
 * a status for what it does not have, "breaks" or "stalls" for what comes half and then ends or comes no further;
 * `instead(path, content, request)` is what it sends in a file's place, null for the file itself, `bytesPerSecond` what its
 * line carries, `headers` go with every file.
 */
export async function host(folder, options = {}) {
  const { fails = () => 0, instead = () => null, bytesPerSecond = Infinity, headers = {}, port = 0 } = options;
  let free = 0; // When the line has carried what was sent.
  const server = createServer(async (request, answer) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const status = fails(pathname.slice(1), request.headers);
    if (status > 0) {
      answer.writeHead(status);
      answer.end();
      return;
    }
    try {
      const path = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
      const file = await readFile(join(folder, path));
      const content = Buffer.from(instead(path.slice(1), file, request) ?? file);
      const type = pathname.endsWith("/") ? "text/html" : (TYPES[extname(pathname)] ?? "application/octet-stream");
      answer.writeHead(200, { "content-type": type, "cache-control": "no-cache", ...headers });
      if (status) {
        answer.write(content.subarray(0, content.length >> 1), () => status === "breaks" && answer.destroy());
        return;
      }
      for (let at = 0; at < content.length && bytesPerSecond < Infinity && !answer.destroyed; at += 16384) {
        const piece = content.subarray(at, at + 16384);
        free = Math.max(free, Date.now()) + (1000 * piece.length) / bytesPerSecond;
        await new Promise((carried) => setTimeout(carried, free - Date.now()));
        answer.write(piece);
      }
      answer.end(bytesPerSecond < Infinity ? undefined : content);
    } catch {
      answer.writeHead(404);
      answer.end();
    }
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://localhost:${server.address().port}/`,
    hangUp: () => server.closeAllConnections(),
    stop: () => new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    }),
  };
}

const CHROMIUM = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
};

export function launch(...more) {
  return chromium.launch({ ...CHROMIUM, args: [...CHROMIUM.args, ...more] });
}

/** A browser that keeps nothing for any page, as its user wished: {page, close}. */
export async function launchKeepingNothing() {
  const folder = await temporary();
  await mkdir(join(folder, "Default"));
  const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
  await writeFile(join(folder, "Default/Preferences"), JSON.stringify(preferences));
  const context = await chromium.launchPersistentContext(folder, { ...CHROMIUM, locale: "en-GB" });
  return {
    page: await context.newPage(),
    close: async () => {
      await context.close();
      await remove(folder);
    },
  };
}

/** A new visitor: {page, context, errors}; `errors` holds what the console and the page complained of. `early` does not
 * wait until the page is ready. */
export async function visit(browser, url, { early = false, ...options } = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 }, locale: "en-GB", colorScheme: "light", ...options,
  });
  const page = await context.newPage();
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.setDefaultTimeout(90_000);
  await page.goto(url, { waitUntil: early ? "commit" : "load" });
  if (!early) await ready(page);
  return { page, context, errors };
}

/** What a host sends along that isolates the page, so that it may use several threads. */
export const ISOLATED = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

/**
 * For a file of tests of the page on a plain static host. `here` is what they share once they run: a folder, the files
 * made in it, the written site, a browser. `hosted` is a test with a host and a visitor; `visitor` and `line` are options
 * of theirs, `args` the browser's own. Where the host isolates the page there is no service worker unless `visitor` allows
 * it: each would fill a store of its own, which takes longer than most tests.
 */
export function hosting() {
  const here = {};
  before(async () => {
    here.folder = await temporary();
    here.files = await pictures("make", here.folder);
    here.site = join(here.folder, "site");
    await writeSite(here.site);
    here.browser = await launch();
  });
  after(async () => {
    await here.browser?.close();
    if (here.folder) await remove(here.folder);
  });
  const hosted = (name, { line = {}, visitor = {}, args = [] }, body) => test(name, async () => {
    const own = args.length ? await launch(...args) : null;
    const served = await host(here.site, line);
    const { page, context } = await visit(own ?? here.browser, served.url, { ...withoutStore(line), ...visitor });
    try {
      await body({ page, context, served });
    } finally {
      await context.close();
      await served.stop();
      await own?.close();
    }
  });
  return { here, hosted };
}

const withoutStore = ({ headers = {} }) => (Object.keys(ISOLATED).every((name) => name in headers) ? NO_STORE : {});

/** A visitor's option: no service worker. */
export const NO_STORE = { serviceWorkers: "block" };

export const ready = (page) => page.waitForSelector("html[data-ready]");

/** What the stage says at last. */
export async function outcome(page) {
  await page.waitForFunction(() => ["done", "failed", "cancelled"].includes(document.querySelector("#stage").dataset.state));
  return page.getAttribute("#stage", "data-state");
}

/** A failure's title, and what stands below it. */
export const told = async (page) => [await page.textContent("#notice-title"), await page.textContent("#notice-detail")];

/** Waits until the page says so in passing. */
export const toast = (page, words) =>
  page.waitForFunction((words) => document.querySelector("#toast.shown")?.textContent.includes(words), words);

/** Presses Save and then Cancel, at once or as the first share is `written`; all in the page, as a hand from outside may
 * be late where the machine is busy. */
export async function saveAndCancel(page, save, { written }) {
  await page.evaluate(([save, written]) => {
    const [busy, share, cancel] = ["busy", "busy-share", "cancel"].map((id) => document.getElementById(id));
    const press = () => {
      if (!cancel.checkVisibility() || (written && !share.textContent)) return;
      seen.disconnect();
      cancel.click();
    };
    const seen = new MutationObserver(press);
    seen.observe(busy, { subtree: true, childList: true, attributes: true });
    document.querySelector(save).click();
    press();
  }, [save, written]);
}

/** Waits until the screen shows the enhanced picture with the settings asked for. */
export async function settled(page) {
  await page.waitForFunction(() => document.querySelector("#stage").dataset.settled === "true");
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
}

/** What the screen shows at 100% of a picture that fits on it, nothing of the traditional side, as a PNG file. */
export async function screenPixels(page, path, [width, height]) {
  await page.focus("#edge");
  await page.keyboard.press("Home");
  await page.keyboard.press("1");
  await page.waitForTimeout(300); // The view may wish for another size only after the next frame.
  await settled(page);
  const url = await page.evaluate(([width, height]) => {
    const seen = document.querySelector("#canvas");
    const copy = new OffscreenCanvas(width, height);
    const left = Math.round(seen.width / 2 - width / 2);
    const top = Math.round(seen.height / 2 - height / 2);
    copy.getContext("2d").drawImage(seen, -left, -top);
    return copy.convertToBlob().then((blob) => new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.readAsDataURL(blob);
    }));
  }, [width, height]);
  await writeFile(path, Buffer.from(url.slice(url.indexOf(",") + 1), "base64"));
}

/** Drops what lies at these paths on the page, folders too, as the system does. */
export async function dropPaths(page, ...paths) {
  const hands = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) await hands.send("Input.dispatchDragEvent", { type, x: 300, y: 300, data });
  await hands.detach();
}

/** Drops files {name, path} on the page, as from a file manager. */
export async function drop(page, files) {
  const contents = await Promise.all(files.map(async ({ name, path }) => [name, (await readFile(path)).toString("base64")]));
  const transfer = await page.evaluateHandle((contents) => {
    const transfer = new DataTransfer();
    for (const [name, base64] of contents) {
      transfer.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name));
    }
    return transfer;
  }, contents);
  await page.dispatchEvent("body", "dragenter", { dataTransfer: transfer });
  await page.dispatchEvent("body", "dragover", { dataTransfer: transfer });
  await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
}
