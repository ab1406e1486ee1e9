// The page's store, which its service worker keeps: filled, filled again, changed for a new version, and handed shares.

import assert from "node:assert/strict";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { host, hosting, ISOLATED, ready, settled, toast, visit } from "./browser.mjs";

const { here, hosted } = hosting();
const LOGIN = Buffer.from("<!doctype html><title>Log in to the hotel's network</title>");

/** A test on a site of its own, which it may change: {page, context, served, own}. */
function renewed(name, { line = {}, change = () => {} }, body) {
  test(name, async () => {
    const own = join(here.folder, `own-${Math.random()}`);
    await cp(here.site, own, { recursive: true });
    await change(own);
    const served = await host(own, line);
    const { page, context } = await visit(here.browser, served.url);
    try {
      await body({ page, context, served, own });
    } finally {
      await context.close();
      await served.stop();
    }
  });
}

async function replace(own, file, from, to) {
  const words = await readFile(join(own, file), "utf8");
  assert.match(words, from);
  await writeFile(join(own, file), words.replace(from, to));
}

const another = (own, version) => replace(own, "precache.js", /"version":\s*"\w+"/, `"version": "${version}"`);
const impatient = (own) => replace(own, "sw.js", /STALLED_MS = 20_000/, "STALLED_MS = 1500");

/** Waits until the service worker has the page, which loads anew for that on a host that does not isolate. */
async function taken(page) {
  await page.waitForFunction(() => navigator.serviceWorker.controller && window.crossOriginIsolated);
  await ready(page);
}

const isStored = (page) => page.evaluate(() => import("./offline.js").then(({ stored }) => stored()));

async function stored(page) {
  for (let tries = 0; tries < 100; tries++) {
    if (await isStored(page)) return;
    await page.waitForTimeout(100);
  }
  assert.fail("the page is not stored");
}

/** Waits until an install of the service worker has come to nothing: the one that is under way, or one more. */
async function brokenOff(page) {
  await page.evaluate(async () => {
    const { installing } = await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" });
    await new Promise((resolve) => {
      installing.addEventListener("statechange", () => installing.state === "redundant" && resolve());
    });
  });
  await page.waitForTimeout(300);
}

async function offered(page) {
  await page.evaluate(() => navigator.serviceWorker.getRegistration().then((found) => found.update()));
  await page.waitForSelector("#update:not([hidden])", { timeout: 60_000 });
  await page.evaluate(() => (window.before = true));
}

async function loadedAnew(page) {
  await page.waitForFunction(() => !window.before, null, { timeout: 60_000 });
  await ready(page);
}

async function enhances(page, files) {
  await page.setInputFiles("#file", files);
  await page.waitForFunction(() => ["done", "failed"].includes(document.querySelector("#stage").dataset.state));
  assert.equal(await page.textContent("#notice-title"), "");
}

const online = (page) => page.evaluate(() => window.dispatchEvent(new Event("online")));

// ---- a new version

renewed("a new version is taken in the tab of the first visit, too", {
  line: { headers: ISOLATED },
}, async ({ page, own }) => {
  await taken(page);
  await another(own, "second");
  await offered(page);
  await page.click("#update-now");
  await loadedAnew(page);
});

const waiting = (page) => page.evaluateHandle(() => navigator.serviceWorker.getRegistration().then((found) => found.waiting));

renewed("a new version asks about unsaved pictures first, and is taken once they are saved", {}, async ({ page, own }) => {
  await taken(page);
  await page.setInputFiles("#file", here.files.small);
  await settled(page);
  await another(own, "third");
  await offered(page);
  const asked = [];
  let answer = "dismiss";
  page.on("dialog", (dialog) => {
    asked.push(dialog.message());
    dialog[answer]();
  });
  await page.click("#update-now");
  await page.waitForTimeout(1500);
  assert.equal(await page.evaluate(() => window.before), true);
  assert.deepEqual(asked, ["Pictures that are not saved will be gone. Use the new version all the same?"]);
  assert.equal(await (await waiting(page)).evaluate((worker) => worker?.state), "installed", "nothing was begun");
  const coming = page.waitForEvent("download");
  await page.click("#save");
  await coming;
  await page.waitForTimeout(500);
  await page.click("#update-now");
  await loadedAnew(page);
  assert.equal(asked.length, 1);

  await page.setInputFiles("#file", here.files.small);
  await settled(page);
  await another(own, "fourth");
  await offered(page);
  answer = "accept";
  await page.click("#update-now");
  await loadedAnew(page);
  assert.equal(asked.length, 2, "it is asked once, not by the browser as well");
});

renewed("a new version that is in use already is taken by loading the page", {}, async ({ page, own }) => {
  await taken(page);
  await page.setInputFiles("#file", here.files.small);
  await settled(page);
  await another(own, "fifth");
  await offered(page);
  await (await waiting(page)).evaluate((worker) => worker.postMessage({ type: "use" }));
  await page.waitForFunction(() => /another tab/.test(document.querySelector("#update").textContent));
  page.on("dialog", (dialog) => dialog.accept());
  await page.click("#update-now");
  await loadedAnew(page);
});

renewed("a new version is found though the host lets its files be kept for a day", {
  line: { headers: { ...ISOLATED, "cache-control": "max-age=86400" } },
}, async ({ page, own }) => {
  await taken(page);
  await another(own, "sixth");
  await offered(page);
});

// ---- what is in the store

let strange = true;
hosted("another page in place of a file is not stored, and the file is fetched again", {
  line: { instead: (path) => (strange && path === "libraw.wasm" ? LOGIN : null) },
}, async ({ page }) => {
  await brokenOff(page);
  assert.equal(await isStored(page), false);
  strange = false;
  await online(page);
  await taken(page);
  await stored(page);
  await enhances(page, here.files.small);
});

const stale = (path, { headers }) => path === "notices.txt" && headers["cache-control"] !== "no-cache";
hosted("an old copy on the way is passed by", {
  line: { instead: (path, _, request) => (stale(path, request) ? LOGIN : null) },
}, async ({ page }) => {
  await taken(page);
  await stored(page);
  const kept = await page.evaluate(() => caches.match(new URL("notices.txt", location.href)).then((found) => found.text()));
  assert.doesNotMatch(kept, /hotel/);
});

/** Puts another page into the store in place of the decoder. */
async function spoil(page, folder) {
  const [, hash] = (await readFile(join(folder, "precache.js"), "utf8")).match(/"libraw\.wasm",\s*"(\w+)"/);
  await page.evaluate(async ([words, hash]) => {
    const [name] = (await caches.keys()).filter((name) => name.startsWith("scotopic-page"));
    const kept = new Response(words, { headers: { "content-type": "application/wasm", "x-hash": hash } });
    await (await caches.open(name)).put(new URL("libraw.wasm", location.href).href, kept);
  }, [String(LOGIN), hash]);
}

hosted("a store with something else under a file's name is healed as soon as that file is needed", {}, async ({ page }) => {
  await taken(page);
  await stored(page);
  await spoil(page, here.site);
  const begins = await page.evaluate(async () => {
    const { checkedWasm, part } = await import("./parts.js");
    return [...(await part(location.href, "libraw.wasm", checkedWasm)).subarray(0, 4)];
  });
  assert.deepEqual(begins, [0, 97, 115, 109], "the first who asks is not told of it, but given the file");
  await spoil(page, here.site);
  await page.reload();
  await ready(page);
  await enhances(page, here.files.small);
  const [first] = await page.evaluate(async () => {
    const kept = await caches.match(new URL("libraw.wasm", location.href));
    return [...new Uint8Array(await kept.arrayBuffer())];
  });
  assert.equal(first, 0, "WebAssembly begins with a zero");
});

renewed("a store with something else under a file's name is healed by the next version", {}, async ({ page, own }) => {
  await taken(page);
  await spoil(page, own);
  await another(own, "seventh");
  await offered(page);
  await page.click("#update-now");
  await loadedAnew(page);
  await enhances(page, here.files.small);
});

const later = (page) => page.clock.fastForward(31_000);
for (const [when, what] of [["the line is back", online], ["half a minute is over", later]]) {
  let fails = true;
  test(`a store that did not come about is tried again when ${when}, and fetches what it lacks`, async () => {
    const asked = [];
    const line = {
      fails: (path) => {
        asked.push(path);
        return fails && path === "notices.txt" ? 503 : 0;
      },
    };
    const plain = await host(here.site, line);
    const context = await here.browser.newContext();
    const page = await context.newPage();
    try {
      await page.clock.install();
      await page.goto(plain.url);
      await ready(page);
      await brokenOff(page);
      fails = false;
      asked.length = 0;
      await what(page);
      await page.waitForFunction(() => navigator.serviceWorker.controller);
      assert.ok(asked.includes("notices.txt") && !asked.includes("icons/icon-512.png"), asked.join());
    } finally {
      await context.close();
      await plain.stop();
    }
  });
}

hosted("what the browser throws out of the store is put back", {}, async ({ page }) => {
  await taken(page);
  await stored(page);
  const lose = (...paths) => page.evaluate(async (paths) => {
    const [name] = (await caches.keys()).filter((name) => name.startsWith("scotopic-page"));
    if (!paths.length) await caches.delete(name);
    for (const path of paths) await (await caches.open(name)).delete(new URL(path, location.href).href);
  }, paths);
  await lose("libraw.wasm", "notices.txt");
  assert.equal(await isStored(page), false);
  await page.evaluate(async () => {
    for (const path of ["libraw.wasm", "notices.txt"]) await (await fetch(path)).blob();
  });
  await stored(page); // By being asked for.
  await lose();
  assert.equal(await isStored(page), false);
  await page.reload();
  await ready(page);
  await stored(page); // By another visit, in which most of it is not asked for.
});

let strangeLater = false;
hosted("another page in place of a file is not put back into the store", {
  line: { instead: (path) => (strangeLater && path === "notices.txt" ? LOGIN : null) },
}, async ({ page }) => {
  await taken(page);
  await stored(page);
  strangeLater = true;
  await page.evaluate(async () => {
    const [name] = (await caches.keys()).filter((name) => name.startsWith("scotopic-page"));
    await (await caches.open(name)).delete(new URL("notices.txt", location.href).href);
    await (await fetch("notices.txt")).text();
  });
  await page.waitForTimeout(500);
  assert.equal(await isStored(page), false);
});

hosted("a file that the store has is given though the page doubts it and the host is gone", {}, async ({
  page, served,
}) => {
  await taken(page);
  await stored(page);
  await served.stop();
  const [status, first] = await page.evaluate(async () => {
    const answer = await fetch("libraw.wasm", { cache: "reload" });
    return [answer.status, ...new Uint8Array(await answer.arrayBuffer())].slice(0, 2);
  });
  assert.deepEqual([status, first], [200, 0]);
});

const LARGE = "vendor/ort.webgpu.min.mjs"; // Like all that is for graphics processors.
let strangeLarge = true;
const askedFor = [];
hosted("a file that only some devices need is kept once the right one came", {
  line: {
    instead: (path) => {
      askedFor.push(path);
      return strangeLarge && path === LARGE ? LOGIN : null;
    },
  },
}, async ({ page, served }) => {
  await taken(page);
  await stored(page);
  assert.ok(!askedFor.some((path) => /webgpu|asyncify/.test(path)), "it is not fetched before");
  const words = (cache) => page.evaluate(async ([path, cache]) => (await fetch(path, { cache })).text(), [LARGE, cache]);
  const isKept = () => page.evaluate(async (path) => {
    return Boolean(await caches.match(new URL(path, location.href), { ignoreSearch: true }));
  }, LARGE);
  assert.match(await words("default"), /hotel/);
  await page.waitForTimeout(500);
  assert.equal(await isKept(), false);
  strangeLarge = false;
  const right = await words("reload");
  for (let tries = 0; tries < 100 && !(await isKept()); tries++) await page.waitForTimeout(100);
  await served.stop();
  for (const cache of ["default", "reload"]) assert.ok((await words(cache)) === right, cache);
});

const HUGE = "vendor/ort-wasm-simd-threaded.asyncify.wasm";
hosted("a large file is handed on as it comes", {
  line: { fails: (path) => (path === HUGE ? "stalls" : 0) },
}, async ({ page }) => {
  await taken(page);
  const [status, done, length] = await page.evaluate(async (path) => {
    const answer = await Promise.race([fetch(path), new Promise((resolve) => setTimeout(resolve, 10_000))]);
    const { done, value } = (await answer?.body.getReader().read()) ?? {};
    return [answer?.status, done, value?.length];
  }, HUGE);
  assert.deepEqual([status, done], [200, false]);
  assert.ok(length > 0);
});

renewed("what else the host has there may be silent for long", {
  line: { fails: (path) => (path === "news.txt" ? "stalls" : 0) },
  change: async (own) => {
    await impatient(own);
    await writeFile(join(own, "news.txt"), "one, two");
  },
}, async ({ page }) => {
  await taken(page);
  const [words, next] = await page.evaluate(async () => {
    const reader = (await fetch("news.txt")).body.getReader();
    const { value } = await reader.read();
    const next = reader.read().then(() => "an end", () => "an error");
    const longer = new Promise((resolve) => setTimeout(resolve, 4000, "nothing yet"));
    return [new TextDecoder().decode(value), await Promise.race([next, longer])];
  });
  assert.deepEqual([words, next], ["one,", "nothing yet"]);
});

let stalls = true;
renewed("a file that stays away half-way ends the install, and what waits for it", {
  line: { fails: (path) => (stalls && path === "notices.txt" ? "stalls" : 0) }, change: impatient,
}, async ({ page }) => {
  await brokenOff(page);
  stalls = false;
  await online(page);
  await taken(page);
  await stored(page);
  stalls = true;
  const words = await page.evaluate(async () => {
    const [name] = (await caches.keys()).filter((name) => name.startsWith("scotopic-page"));
    await (await caches.open(name)).delete(new URL("notices.txt", location.href).href);
    const end = fetch("notices.txt").then((answer) => answer.text()).then(() => "all of it", () => "an error");
    return Promise.race([end, new Promise((resolve) => setTimeout(resolve, 8000, "nothing"))]);
  });
  assert.equal(words, "an error");
});

let began = 0; // When the host was asked for the first file: the others follow no faster than its line carries them.
renewed("files that come slowly are waited for", {
  line: {
    bytesPerSecond: 3e6,
    fails: () => {
      began ||= Date.now();
      return 0;
    },
  },
  change: impatient,
}, async ({ page }) => {
  await page.waitForFunction(() => navigator.serviceWorker.controller, null, { timeout: 60_000 });
  assert.ok(Date.now() - began > 3000, "longer than a dead line is waited for");
});

// ---- shares

/** As another app's Share: a form of the installed page's manifest. */
async function share(page, files) {
  await page.evaluate((files) => {
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action: "share-target", enctype: "multipart/form-data" });
    const input = Object.assign(document.createElement("input"), { type: "file", name: "files", multiple: true });
    const transfer = new DataTransfer();
    for (const [name, content] of files) {
      transfer.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
    }
    input.files = transfer.files;
    form.append(input);
    document.body.append(form);
    form.submit();
  }, files);
}

hosted("a share for which the store has no room is taken, what cannot be had is told", {}, async ({ page, context, served }) => {
  const { url } = served;
  await taken(page);
  await stored(page);
  const { usage } = await page.evaluate(() => navigator.storage.estimate());
  const hands = await context.newCDPSession(page);
  await hands.send("Storage.overrideQuotaForOrigin", { origin: new URL(url).origin, quotaSize: usage + 1000 });
  await share(page, [["full.dng", (await readFile(here.files.small)).toString("base64")]]);
  await page.waitForSelector("#work:not([hidden])", { timeout: 60_000 });
  await settled(page);
  assert.equal(await page.textContent("#picture-name"), "full.dng");
  const words = {
    // As where the service worker was ended meanwhile.
    1: "There was no room for the shared photo in this browser's storage: choose the file here",
    failed: "What was shared could not be read: choose the photo here",
  };
  for (const [count, said] of Object.entries(words)) {
    const other = await context.newPage();
    await other.goto(`${url}?shared=${count}`);
    await toast(other, said);
  }
});

hosted("shares that come before the page takes them are all taken, those for which there is no room too", {}, async ({
  page, context, served: { url },
}) => {
  await taken(page);
  await stored(page);
  const send = (name, bytes) => page.evaluate(async ([name, bytes]) => {
    const form = new FormData();
    form.append("files", new File([new Uint8Array(bytes)], name));
    await fetch("share-target", { method: "POST", body: form, redirect: "manual" }); // The page is not opened.
  }, [name, bytes]);
  await send("first.dng", 10);
  await send("second.dng", 10);
  const { usage } = await page.evaluate(() => navigator.storage.estimate());
  const hands = await context.newCDPSession(page);
  await hands.send("Storage.overrideQuotaForOrigin", { origin: new URL(url).origin, quotaSize: usage + 1000 });
  await send("third.dng", 100_000);
  await send("fourth.dng", 100_000);
  await page.goto(`${url}?shared=1`);
  await page.waitForSelector('li:nth-child(4) .thumb[data-state="failed"]', { timeout: 60_000 });
  const names = await page.$$eval(".thumb", (thumbs) => thumbs.map(({ title }) => title));
  assert.deepEqual(names, ["first.dng", "second.dng", "third.dng", "fourth.dng"]);
});

hosted("a share of nothing, and of a file without bytes, is told", {}, async ({ page }) => {
  await taken(page);
  await stored(page);
  await share(page, []);
  await toast(page, "What was shared held no file: choose the photo here");
  await share(page, [["empty.dng", ""]]);
  await page.waitForSelector('#stage[data-state="failed"]', { timeout: 60_000 });
  assert.equal(await page.textContent("#picture-name"), "empty.dng");
});
