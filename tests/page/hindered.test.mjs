// The page where something stands against it: slow lines, broken hosts, browsers that forbid, other tabs.

import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import {
  dropPaths, host, hosting, ISOLATED, launch, launchKeepingNothing, NO_STORE, outcome, ready, saveAndCancel, serve,
  settled, toast, told, visit, writeSite,
} from "./browser.mjs";

const { here, hosted } = hosting();

const offline = async (page) => {
  await page.click("#settings-open");
  await page.waitForFunction(() => document.querySelector("#settings[open] #offline-now").textContent);
  const words = await page.textContent("#offline-now");
  await page.keyboard.press("Escape");
  return words;
};
const WORKS = "This page works without a connection.";

hosted("a cancel that comes as the work ends leaves a picture that can be saved", { line: { headers: ISOLATED } }, async ({ page, context }) => {
  await context.addInitScript(() => {
    const listen = Worker.prototype.addEventListener;
    Worker.prototype.addEventListener = function (type, hears) {
      listen.call(this, type, (event) => {
        if (event.data?.type === "enhanced") document.querySelector("#cancel").click();
        hears(event);
      });
    };
  });
  await page.reload();
  await ready(page);
  await page.setInputFiles("#file", here.files.small);
  assert.equal(await outcome(page), "done");
  const coming = page.waitForEvent("download", { timeout: 60_000 });
  await page.click("#save");
  assert.equal((await coming).suggestedFilename(), "small-scotopic.jpg");
});

/** What the browser would ask on leaving, here answered with staying: true where it asks. */
async function asks(page) {
  return page.evaluate(() => !window.dispatchEvent(new Event("beforeunload", { cancelable: true })));
}

const slide = (page, id, value) => page.$eval(id, (slider, value) => {
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}, value);

hosted("a file that is written shows how far, can be cancelled, and is not lost unasked", { line: { headers: ISOLATED } }, async ({ page }) => {
  assert.equal(await asks(page), false);
  await page.setInputFiles("#file", here.files.dark_eagles);
  await settled(page);
  assert.equal(await asks(page), true, "it is done and not saved");
  await page.evaluate(() => {
    window.seen = [];
    new MutationObserver(() => window.seen.push(document.querySelector("#busy").innerText)).observe(document.querySelector("#busy"), { subtree: true, childList: true });
  });
  await page.click("#save-dng");
  await page.waitForFunction(() => window.seen.some((words) => /^Writing the file\s+\d+%/.test(words)));
  assert.equal(await asks(page), true);
  const coming = page.waitForEvent("download");
  await coming;
  await page.waitForFunction(() => document.querySelector("#busy").hidden);
  assert.equal(await asks(page), false, "all of it is in a file");

  await slide(page, "#ev", 1);
  assert.equal(await asks(page), true, "these settings are in none");
  await settled(page);
  let count = 0;
  page.on("download", () => (count += 1));
  await saveAndCancel(page, "#save-dng", { written: true });
  await toast(page, "The file was not written: it was stopped");
  assert.equal(await page.isVisible("#busy"), false);
  assert.equal(await page.getAttribute("#stage", "data-state"), "done");
  assert.equal(count, 0);
  assert.equal(await asks(page), true);
  await page.click("#save");
  await toast(page, "dark_eagles-scotopic.jpg is saved");
  assert.equal(await asks(page), false);
});

test("a file that the computer writes can be cancelled, and the picture be saved again", async () => {
  const server = await serve();
  const { page, context } = await visit(here.browser, server.url, {});
  try {
    await place(page, "computer");
    await page.setInputFiles("#file", here.files.dark_eagles);
    await settled(page);
    await saveAndCancel(page, "#save-dng", { written: false });
    await toast(page, "The file was not written: it was stopped");
    const coming = page.waitForEvent("download");
    await page.click("#save-dng");
    assert.equal((await coming).suggestedFilename(), "dark_eagles-scotopic.dng");
  } finally {
    await context.close();
    await server.stop();
  }
});

hosted("a picture that is removed while it is saved stops the saving, and the next can be saved", { line: { headers: ISOLATED } }, async ({ page }) => {
  await page.setInputFiles("#file", [here.files.dark_eagles, here.files.small]);
  await page.waitForSelector('li:nth-child(2) .thumb[data-state="done"]');
  await page.evaluate(() => {
    document.querySelector("#save-all").click();
    document.querySelector("li:nth-child(1) .remove").click();
    document.querySelector('#sure [value="yes"]').click();
  });
  await page.waitForSelector('#save-all[aria-disabled="false"]', { state: "attached", timeout: 60_000 });
  await toast(page, "1 of 2 pictures");
  const coming = page.waitForEvent("download", { timeout: 60_000 });
  await page.click("#settings-open");
  await page.selectOption("#quality", "85");
  await page.keyboard.press("Escape");
  await page.click("#save");
  await coming;
});

hosted("what the user has begun is not taken away by the page's own reload", { line: { bytesPerSecond: 3e6 } }, async ({ page }) => {
  let reloads = 0;
  page.on("framenavigated", () => (reloads += 1));
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.click("#pick")]);
  await page.waitForFunction(() => navigator.serviceWorker.controller);
  await page.waitForTimeout(1000);
  await chooser.setFiles(here.files.small);
  assert.equal(await outcome(page), "done");
  assert.equal(reloads, 0);
});

test("a browser that keeps nothing enhances all the same, and opens its settings", async () => {
  const served = await host(here.site);
  const { page, close } = await launchKeepingNothing();
  try {
    await page.goto(served.url);
    await ready(page);
    assert.match(await page.evaluate(() => {
      try {
        return String(localStorage.length);
      } catch (error) {
        return error.name;
      }
    }), /SecurityError/);
    assert.match(await offline(page), /needs its server/);
    await page.setInputFiles("#file", here.files.small);
    assert.equal(await outcome(page), "done");
  } finally {
    await close();
    await served.stop();
  }
});

let once = true;
hosted("a module that does not come is said, and the page can be loaded again", {
  line: { fails: (path) => (once && path === "screen/view.js" ? 503 : 0) }, visitor: { early: true },
}, async ({ page }) => {
  await page.waitForSelector("#broken:not([hidden])", { timeout: 60_000 });
  assert.match(await page.innerText("#broken"), /^A part of the page did not come\. · Ein Teil der Seite ist nicht angekommen\./);
  assert.equal(await page.isVisible("#pick"), false);
  once = false;
  await page.click("#broken-reload");
  await ready(page);
  assert.equal(await page.isVisible("#broken"), false);
  await page.setInputFiles("#file", here.files.small);
  assert.equal(await outcome(page), "done");
});

for (const [whose, source] of [["another's address", "https://ads.invalid/ads.js"], ["the page's address", "ads.js"]]) {
  const begin = `<body><script src="${source}"></script>`;
  const put = (path, content) => (path === "index.html" ? `${content}`.replace("<body>", begin) : null);
  hosted(`a script that the host puts into the page, and that does not come from ${whose}, is not missed`, {
    line: { headers: ISOLATED, instead: put },
  }, async ({ page, context }) => {
    await context.addInitScript(() => {
      window.failed = [];
      window.said = false;
      window.addEventListener("error", ({ target }) => window.failed.push(target.src), { capture: true });
      const look = () => (window.said ||= document.querySelector("#broken")?.hidden === false);
      new MutationObserver(look).observe(document, { attributes: true, childList: true, subtree: true });
    });
    await page.reload();
    await ready(page);
    assert.deepEqual(await page.evaluate(() => window.failed), [new URL(source, page.url()).href]);
    if (source.startsWith("https:")) assert.equal(await page.evaluate(() => window.said), false);
    assert.equal(await page.isVisible("#broken"), false);
    await Promise.all([page.waitForEvent("filechooser"), page.click("#pick")]);
  });
}

hosted("a page that fails as it starts says so", {
  line: { instead: (path) => (path === "places.js" ? Buffer.from("export class Places { constructor() { null.x; } }") : null) }, visitor: { early: true },
}, async ({ page }) => {
  await page.waitForSelector("#broken:not([hidden])", { timeout: 60_000 });
});

hosted("on a slow line the button says that it loads, and a file chosen meanwhile is taken", {
  line: { bytesPerSecond: 1e5, headers: ISOLATED }, visitor: { early: true },
}, async ({ page }) => {
  await page.waitForSelector("#pick", { state: "visible" });
  assert.equal(await page.isEnabled("#pick"), false);
  assert.match(await page.innerText("#pick"), /^\s*Loading … · Wird geladen …/);
  await page.setInputFiles("#file", here.files.letter);
  await ready(page);
  assert.equal(await outcome(page), "failed");
  assert.equal(await page.textContent("#picture-name"), "letter.dng");
  await page.click("#close");
  assert.equal(await page.isVisible("#broken"), false);
  await Promise.all([page.waitForEvent("filechooser"), page.click("#pick")]);
  assert.match(await page.innerText("#pick"), /^\s*Choose RAW photos$/);
});

let broken = true;
hosted("a network that does not come is said to be it, and comes when tried again", {
  line: { fails: (path) => (broken && path === "models/bayer-fast/weights.bin" ? 503 : 0) },
}, async ({ page }) => {
  await page.setInputFiles("#file", here.files.small);
  assert.equal(await outcome(page), "failed");
  const [title, detail] = await told(page);
  assert.equal(title, "A part of the page could not be fetched");
  assert.match(detail, /weights\.bin: the server answered 503/);
  assert.notEqual(await offline(page), WORKS);
  broken = false;
  await page.click("#notice-retry");
  await page.waitForSelector('#stage[data-state="done"]');
});

let gone = true;
hosted("a decoder that does not come is said to be it, and comes when tried again", {
  line: { fails: (path) => (gone && path === "libraw.wasm" ? 503 : 0) }, visitor: NO_STORE,
}, async ({ page }) => {
  await page.setInputFiles("#file", here.files.small);
  assert.equal(await outcome(page), "failed");
  assert.deepEqual(await told(page), ["A part of the page could not be fetched", "small.dng: libraw.wasm: the server answered 503"]);
  gone = false;
  await page.click("#notice-retry");
  await page.waitForSelector('#stage[data-state="done"]');
});

test("a host that goes once the page has all its parts is not missed", async () => {
  const served = await host(here.site);
  const context = await here.browser.newContext({ locale: "en-GB", ...NO_STORE });
  const page = await context.newPage();
  try {
    const wanted = new Set(["libraw.wasm", "models/bayer-fast/weights.bin"]);
    context.on("requestfinished", (request) => wanted.delete(new URL(request.url()).pathname.slice(1)));
    await page.goto(served.url);
    await ready(page);
    for (let tries = 0; wanted.size && tries < 100; tries++) await page.waitForTimeout(100);
    assert.deepEqual([...wanted], [], "all that every picture needs comes by itself");
    await page.waitForTimeout(500);
    await served.stop();
    await page.setInputFiles("#file", here.files.small);
    assert.equal(await outcome(page), "done");
  } finally {
    await context.close();
    await served.stop();
  }
});

hosted("the page works offline only once all of it is stored and somebody serves it", {
  line: { fails: (path) => (path === "notices.txt" ? 503 : 0) },
}, async ({ page, context }) => {
  await page.waitForTimeout(3000);
  assert.match(await offline(page), /needs its server/);
  const whole = await host(here.site);
  const other = await context.newPage();
  await other.goto(whole.url);
  await other.waitForFunction(() => window.crossOriginIsolated && document.documentElement.dataset.ready);
  assert.equal(await offline(other), WORKS);
  await whole.stop(); // What is missing would come again.
  await other.evaluate(async () => {
    const [name] = (await caches.keys()).filter((name) => name.startsWith("scotopic-page"));
    await (await caches.open(name)).delete(new URL("libraw.wasm", location.href).href);
  });
  assert.match(await offline(other), /needs its server/);
});

for (const [what, flag] of [["WebAssembly", "--js-flags=--jitless"], ["WebAssembly SIMD", "--js-flags=--no-enable-sse4-1"]]) {
  hosted(`a browser without ${what} is told so`, { args: [flag], visitor: NO_STORE }, async ({ page }) => {
    await page.setInputFiles("#file", here.files.small);
    assert.equal(await outcome(page), "failed");
    assert.deepEqual(await told(page), ["This browser cannot do the work", `small.dng: this browser has no ${what}`]);
    assert.match(await page.textContent("#notice-words"), new RegExp(`needs ${what}, `));
  });
}

test("a browser without WebAssembly lets the computer do it", async () => {
  const server = await serve();
  const own = await launch("--js-flags=--jitless");
  try {
    const { page } = await visit(own, server.url, NO_STORE);
    await page.setInputFiles("#file", here.files.small);
    assert.equal(await outcome(page), "failed");
    await page.click("#notice-computer");
    await page.waitForSelector('#stage[data-state="done"]');
  } finally {
    await own.close();
    await server.stop();
  }
});

/** The names of the files that a page sends to the computer. */
function uploads(page) {
  const sent = [];
  page.on("request", (request) => {
    const { pathname, searchParams } = new URL(request.url());
    if (request.method() === "POST" && pathname.endsWith("api/enhance")) sent.push(searchParams.get("name"));
  });
  return sent;
}

const place = async (page, where) => {
  await page.click("#settings-open");
  await page.check(`input[name="place"][value="${where}"]`);
  await page.keyboard.press("Escape");
};
const states = (page) => page.$$eval(".thumb", (thumbs) => thumbs.map((thumb) => thumb.dataset.state));

test("the computer gets the one picture that it was asked to do, and another place leaves alone what is done", async () => {
  const server = await serve();
  const { page, context } = await visit(here.browser, server.url, {});
  try {
    const sent = uploads(page);
    await page.setInputFiles("#file", [here.files.small, here.files.huge, here.files.turned, here.files.letter]);
    await page.waitForSelector('li:nth-child(4) .thumb[data-state="failed"]');
    assert.deepEqual(await states(page), ["done", "failed", "done", "failed"]);
    await page.click("li:nth-child(2) .thumb");
    assert.equal(await page.textContent("#where"), "On this device");
    await page.click("#notice-computer");
    await page.waitForSelector('#stage[data-state="opening"]');
    assert.equal(await page.textContent("#where"), "On the computer");
    await page.waitForFunction(() => document.querySelector("#busy-words").textContent !== "Reading the file");
    await page.click("#cancel");
    await page.waitForSelector('#stage[data-state="cancelled"]');
    assert.deepEqual(await states(page), ["done", "cancelled", "done", "failed"]);
    await page.click("li:nth-child(1) .thumb");
    assert.equal(await page.textContent("#where"), "On this device");
    await settled(page);
    assert.equal(await page.evaluate(() => localStorage.getItem("scotopic-settings")), null);
    await page.setInputFiles("#file", here.files.small);
    await settled(page);
    assert.deepEqual(sent, ["huge.dng"]);

    await place(page, "computer");
    await page.waitForTimeout(500);
    assert.deepEqual(await states(page), ["done", "cancelled", "done", "failed", "done"]);
    assert.equal(await page.textContent("#where"), "On this device", "this picture is there");
    await page.$eval("#ev", (slider) => {
      slider.value = 1;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    });
    await settled(page);
    assert.deepEqual(sent, ["huge.dng"]);
    await page.setInputFiles("#file", here.files.turned);
    await settled(page);
    assert.deepEqual(sent, ["huge.dng", "turned.dng"]);
    assert.equal(await page.textContent("#where"), "On the computer");
    await page.click("#settings-open");
    await page.selectOption("#engine", "wasm-single");
    await page.keyboard.press("Escape");
    await page.click("li:nth-child(1) .thumb");
    await settled(page);
    assert.deepEqual(sent, ["huge.dng", "turned.dng"]);
  } finally {
    await context.close();
    await server.stop();
  }
});

test("the computer tells the camera, takes the quality, and its going is said", async () => {
  const server = await serve();
  const { page, context } = await visit(here.browser, server.url, {});
  try {
    await page.click("#settings-open");
    await page.check('input[name="place"][value="computer"]');
    await page.keyboard.press("Escape");
    await page.setInputFiles("#file", here.files.dark_eagles);
    await settled(page);
    assert.match(await page.textContent("#picture-camera"), /ILCE-7SM2/i);
    const sizes = [];
    for (const quality of ["85", "97"]) {
      await page.click("#settings-open");
      await page.selectOption("#quality", quality);
      await page.keyboard.press("Escape");
      const coming = page.waitForEvent("download");
      await page.click("#save");
      sizes.push((await stat(await (await coming).path())).size);
    }
    assert.ok(sizes[1] > 1.5 * sizes[0], sizes.join());
    await server.stop();
    await page.$eval("#ev", (slider) => {
      slider.value = 1;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    });
    await toast(page, "The computer does not answer");
    await settled(page);
    await page.click("#save");
    await toast(page, "Saving did not work: The computer does not answer");
  } finally {
    await context.close();
    await server.stop();
  }
});

test("a new version taken in one tab reloads those with nothing open, and no others", async () => {
  const own = join(here.folder, "renewed");
  await writeSite(own);
  const served = await host(own);
  const { page: first, context } = await visit(here.browser, served.url);
  try {
    await first.waitForFunction(() => window.crossOriginIsolated && document.documentElement.dataset.ready);
    const [empty, busy] = [await context.newPage(), await context.newPage()];
    for (const page of [empty, busy]) {
      await page.goto(served.url);
      await ready(page);
      await page.evaluate(() => (window.before = true));
    }
    await busy.setInputFiles("#file", here.files.small);
    assert.equal(await outcome(busy), "done");
    const precache = join(own, "precache.js");
    const words = await readFile(precache, "utf8");
    await writeFile(precache, words.replace(/"version":\s*"\w+"/, '"version": "another"'));
    await first.evaluate(() => navigator.serviceWorker.getRegistration().then((found) => found.update()));
    await first.waitForSelector("#update:not([hidden])");
    await first.click("#update-now");
    await empty.waitForFunction(() => !window.before && document.documentElement.dataset.ready);
    await busy.waitForFunction(() => /another tab/.test(document.querySelector("#update:not([hidden])")?.textContent));
    const coming = busy.waitForEvent("download");
    await busy.click("#save");
    await coming;
    await busy.click("#update-now");
    await busy.waitForFunction(() => !window.before && document.documentElement.dataset.ready);
  } finally {
    await context.close();
    await served.stop();
  }
});

hosted("while the network comes its size and share are told, and a cancel holds at once", {
  line: { headers: ISOLATED, bytesPerSecond: 2e6 },
}, async ({ page, context }) => {
  const come = [];
  context.on("requestfinished", (request) => come.push(new URL(request.url()).pathname));
  await page.setInputFiles("#file", here.files.small);
  await page.waitForFunction(() => /^Fetching the network, 15 MB at most/.test(document.querySelector("#busy-words").textContent));
  assert.match(await page.textContent("#busy-share"), /^\d+%$/);
  await page.click("#cancel");
  await page.waitForSelector('#stage[data-state="cancelled"]');
  assert.ok(!come.includes("/vendor/ort-wasm-simd-threaded.wasm"), "the network is not waited for");
  await page.click("#cancel", { delay: 50 }); // It says "Try again" now.
  assert.equal(await page.getAttribute("#stage", "data-state"), "enhancing");
  await page.waitForSelector('#stage[data-state="done"]');
  assert.ok(come.includes("/vendor/ort-wasm-simd-threaded.wasm"));
});

hosted("a double click on Cancel cancels", { line: { headers: ISOLATED } }, async ({ page }) => {
  await page.setInputFiles("#file", here.files.dark_eagles);
  await page.waitForSelector('#stage[data-state="enhancing"]');
  await page.dblclick("#cancel", { delay: 150, force: true }).catch(() => {});
  await page.waitForTimeout(1000);
  assert.equal(await page.getAttribute("#stage", "data-state"), "cancelled");
});

hosted("of a folder that is dropped the RAW photos are taken, those in its folders too", { line: { headers: ISOLATED } }, async ({ page }) => {
  const card = join(here.folder, "DCIM");
  const put = async (from, ...names) => {
    const path = join(card, ...names);
    await mkdir(join(path, ".."), { recursive: true });
    await copyFile(from, path);
  };
  await put(here.files.small, "100MSDCF", "B.DNG");
  await put(here.files.turned, "100MSDCF", "A.dng");
  for (const passed of ["C.JPG", "._B.DNG", "dng", "B.xmp"]) await put(here.files.letter, "100MSDCF", passed);
  await put(here.files.small, ".Trashes", "gone.dng");
  await put(here.files.small, "top.dng");
  await mkdir(join(card, "MISC"));
  await dropPaths(page, join(card, "MISC"));
  await toast(page, "There is no RAW photo in this folder");
  assert.equal(await page.isVisible("#start"), true);
  await dropPaths(page, card, here.files.letter);
  await page.waitForSelector('li:nth-child(4) .thumb[data-state="failed"]');
  assert.deepEqual(await page.$$eval(".thumb", (thumbs) => thumbs.map(({ title }) => title)), ["top.dng", "A.dng", "B.DNG", "letter.dng"]);
  assert.deepEqual(await states(page), ["done", "done", "done", "failed"]);
});

hosted("the last picture can be closed, done or failed, and the next goes on", { line: { headers: ISOLATED }, visitor: { viewport: { width: 390, height: 844 } } }, async ({ page }) => {
  for (const [file, state] of [[here.files.small, "done"], [here.files.letter, "failed"], [here.files.turned, "done"]]) {
    await page.setInputFiles("#file", file);
    await page.waitForSelector(`#stage[data-state="${state}"]`);
    assert.equal(await page.isVisible("#strip"), false);
    await page.focus("#close");
    await page.keyboard.press("Enter");
    if (state === "done") await page.click('#sure [value="yes"]');
    await page.waitForSelector("#start", { state: "visible" });
    assert.equal(await page.evaluate(() => document.activeElement.id), "pick");
    assert.equal(await asks(page), false);
  }
  await page.setInputFiles("#file", here.files.dark_eagles);
  await page.waitForFunction(() => document.title !== "scotopic");
  await page.click("#close");
  assert.equal(await page.title(), "scotopic");
});

hosted("a file that is gone is said to be unreadable; what is no RAW photo is seen before it is read", { line: { headers: ISOLATED } }, async ({ page }) => {
  const gone = join(here.folder, "gone.dng");
  await copyFile(here.files.small, gone);
  await page.setInputFiles("#file", [here.files.dark_eagles, gone]);
  await rm(gone);
  await page.waitForSelector('li:nth-child(2) .thumb[data-state="failed"]');
  await page.click("li:nth-child(2) .thumb");
  assert.equal((await told(page))[0], "This file cannot be read any more");
  assert.equal(await page.isVisible("#notice-retry"), true);
  const read = await page.evaluate(async () => {
    const { bytesOf } = await import("./file.js");
    const pieces = [];
    const video = new File([Uint8Array.of(0, 0, 0, 24), "ftypqt  ", new Uint8Array(1e6)], "a.mov");
    video.slice = function (...span) {
      pieces.push(span);
      return Blob.prototype.slice.apply(this, span);
    };
    video.arrayBuffer = () => pieces.push("all");
    return [await bytesOf(video).catch((error) => error.code), pieces];
  });
  assert.deepEqual(read, ["not-raw", [[0, 4096]]]);
});

for (const [kind, brand] of [["HEIC", "heic"], ["AVIF", "avif"]]) {
  hosted(`${kind} is called by its name`, { line: { headers: ISOLATED } }, async ({ page }) => {
    const buffer = Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from(`ftyp${brand}`), Buffer.alloc(64)]);
    await page.setInputFiles("#file", { name: "IMG_0001.DNG", mimeType: "", buffer });
    assert.equal(await outcome(page), "failed");
    assert.equal((await told(page))[0], `This is a finished picture (${kind}), not a RAW file`);
  });
}

hosted("a graphics processor that is refused is told of", { line: { headers: ISOLATED } }, async ({ page }) => {
  await page.click("#settings-open");
  await page.selectOption("#engine", "webgpu");
  await page.keyboard.press("Escape");
  await page.setInputFiles("#file", here.files.small);
  assert.equal(await outcome(page), "done");
  await page.click("#settings-open");
  assert.match(await page.textContent("#engine-now"), /Now: wasm.* WebGPU is not used: there is no graphics processor/);
});
