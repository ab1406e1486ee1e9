// The page's parts that do not come, come no further, or are something else; what the host or the browser forbids.

import assert from "node:assert/strict";
import { test } from "node:test";
import { hosting, ISOLATED, NO_STORE, outcome, ready, serve, told, visit } from "./browser.mjs";

const { here, hosted } = hosting();

/** A test whose visitor has each part from the host's line, as no service worker has kept one. */
const lined = (name, line, body) => hosted(name, { line, visitor: NO_STORE }, body);

const GLUE = "vendor/ort-wasm-simd-threaded.mjs";
const BINARY = "vendor/ort-wasm-simd-threaded.wasm";

/** Waits until the stage says so. */
const busy = (page, words) => page.waitForSelector(`#busy-words:text-matches("${words}")`, { timeout: 60_000 });

/** Presses "Try again", and waits until the picture is done. */
async function againAndDone(page, button) {
  await page.click(button, { delay: 50 });
  await page.waitForSelector('#stage[data-state="done"]', { timeout: 60_000 });
}

/** A line whose `path` fails so for as long as it `is`. */
function broken(path, how, more = {}) {
  const state = { is: true };
  const fails = (asked) => (asked === path && state.is ? how : 0);
  return { state, line: { headers: ISOLATED, fails, ...more } };
}

/** The page's own patience with a quiet line, shorter. */
const patience = (ms) => (path, content) => {
  if (path !== "parts.js") return content;
  return Buffer.from(content.toString().replace("SILENCE_MS = 20_000", `SILENCE_MS = ${ms}`));
};

/** One of each way in which parts are loaded. */
const PARTS = ["worker.js", "network.js", "libraw.wasm", GLUE, BINARY];

for (const path of PARTS) {
  const { state, line } = broken(path, "breaks");
  lined(`${path} that breaks off is said to be it, and comes when tried again`, line, async ({ page }) => {
    await page.setInputFiles("#file", here.files.small);
    assert.equal(await outcome(page), "failed");
    const [title, detail] = await told(page);
    assert.equal(title, "A part of the page could not be fetched");
    assert.ok(detail.startsWith(`small.dng: ${path}: `), detail);
    state.is = false;
    await againAndDone(page, "#notice-retry");
  });
}

for (const path of ["libraw.wasm", BINARY]) {
  const { state, line } = broken(path, "stalls", { instead: patience(2000) });
  lined(`${path} that comes no further is said to be it, and comes when tried again`, line, async ({ page }) => {
    await page.setInputFiles("#file", here.files.small);
    await page.waitForSelector('#stage[data-state="failed"]', { timeout: 60_000 });
    const [title, detail] = await told(page);
    assert.equal(title, "A part of the page could not be fetched");
    assert.equal(detail, `small.dng: ${path}: nothing came for 2 s`);
    state.is = false;
    await againAndDone(page, "#notice-retry");
  });
}

const asked = [];
const once = (path, headers) => {
  if (path !== BINARY) return 0;
  asked.push(headers["cache-control"]);
  return asked.length === 1 ? "stalls" : 0;
};
lined(`${BINARY} that comes no further the first time alone is not missed`, {
  headers: { ...ISOLATED, "cache-control": "max-age=600" }, fails: once, instead: patience(2000),
}, async ({ page }) => {
  await page.setInputFiles("#file", here.files.small);
  assert.equal(await outcome(page), "done");
  // The browser may hang on the first line for others who wait for it, such as a service worker.
  assert.deepEqual(asked, [undefined, "no-cache"], "the host is asked anew");
});

for (const path of ["worker.js", "network.js", "libraw.wasm", BINARY]) {
  const { state, line } = broken(path, "stalls");
  // Of modules the browser tells nothing, and so the network's are given up later than a test waits.
  const again = path !== "network.js";
  lined(`a cancel holds at once while ${path} comes no further`, line, async ({ page, served }) => {
    await page.setInputFiles("#file", here.files.small);
    if (path !== BINARY) await page.waitForTimeout(1000);
    else await busy(page, "^Fetching the network, 15 MB at most");
    await page.click("#cancel");
    await page.waitForSelector('#stage[data-state="cancelled"]', { timeout: 10_000 }); // Far sooner than 20 s.
    state.is = false;
    served.hangUp(); // Else the next try would wait for what this one began.
    if (again) await againAndDone(page, "#cancel"); // Which says so now.
  });
}

for (const path of ["constants.json", BINARY]) {
  let login = true;
  const instead = (asked, content) => (login && asked === path ? "<!doctype html><title>Log in</title>" : content);
  const line = { headers: { ...ISOLATED, "cache-control": "max-age=600" }, instead };
  lined(`a login page in the place of ${path} is told, and not kept for the next try`, line, async ({ page }) => {
    await page.setInputFiles("#file", here.files.small);
    assert.equal(await outcome(page), "failed");
    const [title, detail] = await told(page);
    assert.equal(title, "Something else came for a part of the page");
    assert.match(detail, new RegExp(path));
    login = false;
    await againAndDone(page, "#notice-retry");
  });
}

lined("a host whose policy forbids WebAssembly is told so", {
  headers: { ...ISOLATED, "content-security-policy": "default-src 'self'" },
}, async ({ page }) => {
  await page.setInputFiles("#file", here.files.small);
  assert.equal(await outcome(page), "failed");
  const [title] = await told(page);
  assert.equal(title, "This host does not let the page do its work");
  assert.match(await page.textContent("#notice-words"), /adds 'wasm-unsafe-eval' to its policy/);
});

const missing = () => delete window.Worker;
const refused = () => {
  window.Worker = class {
    constructor() {
      throw new DOMException("The operation is insecure.", "SecurityError");
    }
  };
};

for (const [what, without] of [["has no workers", missing], ["lets no worker be started", refused]]) {
  lined(`a browser that ${what} is told so`, { headers: ISOLATED }, async ({ page, context }) => {
    await context.addInitScript(without);
    await page.reload();
    await ready(page);
    await page.setInputFiles("#file", [here.files.small, here.files.turned]);
    await page.waitForSelector('li:nth-child(2) .thumb[data-state="failed"]');
    assert.equal(await outcome(page), "failed");
    assert.equal((await told(page))[0], "This browser cannot do the work");
    assert.match(await page.textContent("#notice-words"), /needs scripts that run in the background \(web workers\), /);
  });
}

lined("a browser whose workers can start no others is told so", {
  headers: ISOLATED,
  instead: (path, content) => (path === "worker.js" ? `${content}delete self.Worker;\n` : content),
}, async ({ page }) => {
  await page.setInputFiles("#file", here.files.small);
  assert.equal(await outcome(page), "failed");
  assert.equal((await told(page))[0], "This browser cannot do the work");
  assert.match(await page.textContent("#notice-words"), /\(web workers\)/);
});

test("a browser without workers lets the computer do it", async () => {
  const server = await serve();
  const { page, context } = await visit(here.browser, server.url, NO_STORE);
  try {
    await context.addInitScript(missing);
    await page.reload();
    await ready(page);
    await page.setInputFiles("#file", here.files.small);
    assert.equal(await outcome(page), "failed");
    await page.click("#notice-computer");
    await page.waitForSelector('#stage[data-state="done"]');
  } finally {
    await context.close();
    await server.stop();
  }
});

lined("a late error of a worker that was stopped does not stop the next one", { headers: ISOLATED }, async ({ page }) => {
  const [heard, workers] = await page.evaluate(async () => {
    const { Device } = await import("./device.js");
    const made = [];
    window.Worker = class extends EventTarget {
      constructor() {
        super();
        made.push(this);
      }

      postMessage() {}

      terminate() {
        this.ended = true;
      }
    };
    const heard = [];
    const device = new Device({ engine: "auto", heard: ({ type, id }) => heard.push(`${type} ${id}`) });
    device.ask({ type: "open", id: 1 });
    device.ask({ type: "cancel", id: 1 });
    device.ask({ type: "open", id: 2 });
    made[0].dispatchEvent(new ErrorEvent("error", { cancelable: true }));
    await new Promise((resolve) => setTimeout(resolve));
    return [heard, made.map(({ ended }) => ended ?? false)];
  });
  assert.deepEqual(heard, ["cancelled 1"]);
  assert.deepEqual(workers, [true, false]);
});
