// The page in a real Chromium, against `scotopic serve` and against a plain static host, judged by Python.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { drop, host, launch, NO_STORE, pictures, ready, remove, screenPixels, serve, settled, temporary, visit, writeSite } from "./browser.mjs";

const MEAN_MAX = 1; // Of 255, as the page's aims say: a mean below 1 and no value further than 3.
const APART_MAX = 3;
const SMALL = [512, 384]; // pictures.py's crop.
const WHOLE = [1152, 1152];

let folder, files, server, browser;

before(async () => {
  folder = await temporary();
  files = await pictures("make", folder);
  server = await serve();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
  if (folder) await remove(folder);
});

/** A test with a visitor of its own, who must have seen no error. */
function visiting(name, options, body) {
  test(name, async () => {
    const visitor = await visit(browser, server.url, { ...NO_STORE, ...options });
    try {
      await body(visitor);
      assert.deepEqual(visitor.errors, []);
    } finally {
      await visitor.context.close();
    }
  });
}

async function agree(page, name, size) {
  const seen = join(folder, `${name}-seen.png`);
  await screenPixels(page, seen, size);
  const apart = await pictures("compare", seen, join(folder, `${name}.png`));
  assert.ok(apart.mean < MEAN_MAX && apart.max <= APART_MAX, JSON.stringify(apart));
  assert.ok(apart.light > 20, "a black picture agrees with anything");
}

visiting("a picked DNG is shown as Python enhances it, upright, with its ISO and shutter", {
  viewport: { width: 1700, height: 1300 }, serviceWorkers: "allow",
}, async ({ page }) => {
  assert.equal(await page.evaluate(() => window.crossOriginIsolated), true);
  await page.setInputFiles("#file", files.dark_eagles);
  await page.waitForSelector('#stage[data-state="enhancing"]');
  await settled(page);
  assert.match(await page.textContent("#picture-taken"), /ISO 320 · 1\/30/);
  assert.match(await page.textContent("#picture-plan"), /Brightened (2[89]\d|30\d) times/);
  await agree(page, "dark_eagles", WHOLE);
  await page.setInputFiles("#file", files.turned);
  await settled(page);
  await agree(page, "turned", [...SMALL].reverse());
});

visiting("the sliders change the picture at once, and reset brings it back", {}, async ({ page }) => {
  await page.setInputFiles("#file", files.small);
  await settled(page);
  const shot = async (name) => {
    const path = join(folder, `slid-${name}.png`);
    await screenPixels(page, path, SMALL);
    return path;
  };
  const first = await shot("first");
  const moved = async (name, change) => {
    await change();
    await page.waitForTimeout(300);
    await settled(page);
    return pictures("compare", await shot(name), first);
  };
  const put = (id, value) => page.$eval(id, (slider, value) => {
    slider.value = value;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  }, value);
  const brighter = await moved("ev", () => put("#ev", 1));
  const { light } = await pictures("compare", first, first);
  assert.ok(brighter.light > light + 15, `${brighter.light} beside ${light}`);
  assert.equal(await page.textContent("#ev-now"), "+1.00 EV");
  await page.click("#reset");
  assert.ok((await moved("strength", () => put("#strength", 0))).mean > 2, "noise comes back");
  await page.click("#reset");
  assert.ok((await moved("daylight", () => page.check('input[value="daylight"]'))).mean > 0.5);
  const before = await page.textContent("#temperature-now");
  assert.ok((await moved("own", () => put("#temperature", 0.95))).mean > 2);
  assert.notEqual(await page.textContent("#temperature-now"), before);
  assert.equal(await page.isChecked('input[value="custom"]'), true);
  assert.equal((await moved("reset", () => page.click("#reset"))).max, 0);
});

visiting("an own balance begins where the light is, however far out, and one slider leaves the other", {}, async ({ page }) => {
  for (const name of ["glow", "stage"]) {
    await page.setInputFiles("#file", files[name]);
    await page.waitForFunction((name) => document.querySelector("#picture-name").textContent === name, `${name}.dng`);
    await settled(page);
    const shot = async (of) => {
      const path = join(folder, `${name}-${of}.png`);
      await screenPixels(page, path, SMALL);
      return path;
    };
    const before = await shot("camera");
    const tint = await page.textContent("#tint-now");
    if (name === "stage") assert.ok(parseInt(tint.replace(/\D/g, "")) > 150, `a tint of ${tint}`);
    else assert.match(await page.textContent("#temperature-now"), /^1700 K/);
    await page.check('input[value="custom"]');
    await page.waitForTimeout(300);
    await settled(page);
    assert.equal((await pictures("compare", await shot("own"), before)).max, 0);
    await page.focus("#temperature");
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.textContent("#tint-now"), tint);
    await page.click("#reset");
    assert.equal(await page.isEnabled("#tint"), true);
    await page.waitForTimeout(300);
    await settled(page);
    assert.equal((await pictures("compare", await shot("reset"), before)).max, 0);
  }
});

visiting("where the camera's colours are not known, what needs them is not offered and says why", {}, async ({ page }) => {
  const offered = () => page.evaluate(() => ({
    daylight: !document.querySelector('input[value="daylight"]').disabled,
    own: !document.querySelector('input[value="custom"]').disabled,
    temperature: !document.querySelector("#temperature").disabled,
    tint: !document.querySelector("#tint").disabled,
    reason: !document.querySelector("#wb-unknown").hidden,
    shown: document.querySelector("#temperature-now").textContent + document.querySelector("#tint-now").textContent,
  }));
  await page.setInputFiles("#file", files.small);
  await settled(page);
  const { shown, ...before } = await offered();
  assert.deepEqual(before, { daylight: true, own: true, temperature: true, tint: true, reason: false });
  assert.match(shown, / K/);
  await page.setInputFiles("#file", files.unknown);
  await page.waitForFunction(() => document.querySelector("#picture-name").textContent === "unknown.dng");
  await settled(page);
  assert.deepEqual(await offered(), { daylight: false, own: false, temperature: false, tint: false, reason: true, shown: "" });
  assert.equal(await page.isEnabled('input[value="auto"]'), true);
  await page.click("li:nth-child(1) .thumb");
  await settled(page);
  assert.equal((await offered()).reason, false);
});

visiting("an own balance is the same picture where the computer takes over", {}, async ({ page }) => {
  await page.setInputFiles("#file", files.small);
  await settled(page);
  await page.$eval("#temperature", (slider) => {
    slider.value = 0.95;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await page.waitForTimeout(300);
  await settled(page);
  const save = async (name) => {
    const coming = page.waitForEvent("download");
    await page.click("#save");
    const path = join(folder, name);
    await (await coming).saveAs(path);
    return path;
  };
  const device = await save("own-device.jpg");
  // What is done stays where it is; what is begun again, here by another engine, goes on at the place named meanwhile.
  await page.evaluate(() => {
    const choose = (element, changes) => {
      Object.assign(element, changes);
      element.dispatchEvent(new Event("change", { bubbles: true }));
    };
    document.querySelector("#settings-open").click();
    choose(document.querySelector("#engine"), { value: "wasm-single" });
    choose(document.querySelector('input[name="place"][value="computer"]'), { checked: true });
  });
  await page.keyboard.press("Escape");
  await page.waitForSelector('#where[data-place="computer"]');
  await settled(page);
  assert.equal(await page.isVisible('label:has(input[value="custom"])'), true);
  assert.equal(await page.isChecked('input[value="custom"]'), true);
  assert.equal(await page.isVisible("#temperature"), false);
  const seen = join(folder, "own-computer.png");
  await screenPixels(page, seen, SMALL);
  const computer = await save("own-computer.jpg");
  assert.ok((await pictures("compare", seen, device)).mean < 3);
  assert.ok((await pictures("compare", computer, device)).mean < 3);
  assert.notDeepEqual(await readFile(computer), await readFile(device), "the file is the computer's own");
  assert.ok((await pictures("compare", computer, join(folder, "small.png"))).mean > 5);
});

visiting("a saved JPEG has the whole size, the profile and the EXIF, and the picture", {}, async ({ page }) => {
  await page.setInputFiles("#file", files.dark_eagles);
  await settled(page);
  const coming = page.waitForEvent("download");
  await page.click("#save");
  const saved = await coming;
  assert.equal(saved.suggestedFilename(), "dark_eagles-scotopic.jpg");
  const path = join(folder, "saved.jpg");
  await saved.saveAs(path);
  const told = await pictures("describe", path);
  assert.equal(told.format, "JPEG");
  assert.deepEqual(told.size, WHOLE);
  assert.ok(told.profile > 0);
  assert.equal(told.exif["EXIF ISOSpeedRatings"], "320");
  assert.equal(told.exif["EXIF ExposureTime"], "1/30");
  assert.match(told.exif["Image Model"], /7SM2/);
  const apart = await pictures("compare", path, join(folder, "dark_eagles.png"));
  assert.ok(apart.mean < 3, JSON.stringify(apart));
});

visiting("what is no whole RAW photo is refused in plain words, and the next file goes on", {}, async ({ page }) => {
  await drop(page, [
    { name: "IMG_0001.DNG", path: files.IMG_0001 }, { name: "cut.dng", path: files.cut }, { name: "huge.dng", path: files.huge },
    { name: "letter.dng", path: files.letter }, { name: "small.dng", path: files.small },
  ]);
  await page.waitForSelector('li:nth-child(5) .thumb[data-state="done"]');
  const titles = [];
  for (const number of [1, 2, 3, 4]) {
    await page.click(`li:nth-child(${number}) .thumb`);
    titles.push(await page.textContent("#notice-title"));
    assert.equal(await page.isVisible("#save"), false);
  }
  assert.deepEqual(titles, [
    "This is a finished picture (JPEG), not a RAW file", "This file is not complete", "This photo is too large for this device", "This is not a RAW photo",
  ]);
  await page.click("li:nth-child(1) .thumb");
  assert.match(await page.textContent("#notice-words"), /from Files/);
  await page.click("li:nth-child(5) .thumb");
  assert.equal(await page.isVisible("#notice"), false);
  assert.equal(await page.isEnabled("#save"), true);
});

visiting("what was enhanced already, and a thumbnail, are refused in words of their own and by no computer", {}, async ({ page }) => {
  await page.setInputFiles("#file", files.again);
  await page.waitForSelector('#stage[data-state="failed"]');
  assert.equal(await page.textContent("#notice-title"), "scotopic has enhanced this picture already");
  assert.match(await page.textContent("#notice-words"), /^Use the RAW file that it was made from/);
  assert.equal(await page.textContent("#notice-detail"), "again.dng");
  assert.equal(await page.isVisible("#notice-computer"), false);
  await page.setInputFiles("#file", files.thumbnail);
  await page.waitForSelector('#stage[data-state="failed"]');
  assert.equal(await page.textContent("#notice-title"), "This picture is too small to be a photo");
  assert.equal(await page.textContent("#notice-detail"), "thumbnail.dng: its picture is only 16x12 pixels");
  assert.equal(await page.isVisible("#notice-computer"), false);
});

visiting("work is cancelled half way and taken up again", {}, async ({ page }) => {
  await page.setInputFiles("#file", files.dark_eagles);
  await page.waitForSelector('#stage[data-state="enhancing"]');
  await page.click("#cancel");
  await page.waitForSelector('#stage[data-state="cancelled"]');
  assert.equal(await page.textContent("#busy-words"), "Stopped");
  assert.equal(await page.isEnabled("#save"), false);
  await page.click("#cancel"); // It says "Try again" now.
  await page.waitForSelector('#stage[data-state="done"]');
  assert.equal(await page.isEnabled("#save"), true);
});

visiting("more passes work on the picture anew, as by Python, hold for the next one, and on the computer", {}, async ({ page }) => {
  await page.setInputFiles("#file", files.small);
  await settled(page);
  await agree(page, "small", SMALL);
  await page.focus('input[name="passes"][value="1"]');
  await page.keyboard.press("ArrowRight");
  assert.notEqual(await page.getAttribute("#stage", "data-state"), "done", "it is worked on anew");
  assert.equal(await page.evaluate(() => document.activeElement.value), "2", "the keyboard stays where it was");
  assert.equal(await page.isEnabled("#save"), false);
  await settled(page);
  await agree(page, "small-twice", SMALL);
  const once = await pictures("compare", join(folder, "small-twice-seen.png"), join(folder, "small.png"));
  assert.ok(once.mean > 0.1, JSON.stringify(once));
  await page.click("#reset");
  assert.equal(await page.isChecked('input[name="passes"][value="2"]'), true);
  assert.equal(await page.getAttribute("#stage", "data-state"), "done", "that is not begun anew by the way");

  await page.click("#settings-open");
  await page.check('input[name="place"][value="computer"]');
  await page.keyboard.press("Escape");
  page.on("dialog", (dialog) => dialog.accept());
  await page.reload();
  await ready(page);
  const asked = [];
  page.on("request", (request) => request.method() === "POST" && asked.push(new URL(request.url())));
  await page.setInputFiles("#file", files.small);
  assert.equal(await page.isChecked('input[name="passes"][value="2"]'), true);
  await settled(page);
  await page.check('input[name="passes"][value="1"]');
  assert.equal(await page.isEnabled("#ev"), false, "what is on the screen is what was");
  await settled(page);
  assert.equal(await page.isEnabled("#ev"), true);
  const queries = asked.map(({ pathname, searchParams }) => [pathname.split("/").at(-1), searchParams.get("look"), searchParams.get("passes")]);
  assert.deepEqual(queries.filter(([, look]) => !look).map(([call, , passes]) => [call, passes]), [["enhance", "2"], ["again", "1"]]);
});

visiting("fringes that a lens has drawn are taken away as by Python, and asked of where there are some", {}, async ({ page }) => {
  await page.setInputFiles("#file", files.small);
  await settled(page);
  assert.equal(await page.isVisible("#lens"), false);
  await page.setInputFiles("#file", files.fringed);
  await page.waitForFunction(() => document.querySelector("#picture-name").textContent === "fringed.dng");
  await settled(page);
  await agree(page, "fringed", SMALL);
  await page.focus('input[name="fringes"][value="keep"]');
  await page.keyboard.press("ArrowRight");
  assert.notEqual(await page.getAttribute("#stage", "data-state"), "done", "it is worked on anew");
  assert.equal(await page.evaluate(() => document.activeElement.value), "remove", "the keyboard stays where it was");
  await settled(page);
  await agree(page, "fringed-removed", SMALL);
  const kept = await pictures("compare", join(folder, "fringed-removed-seen.png"), join(folder, "fringed.png"));
  assert.ok(kept.max > 20, JSON.stringify(kept));
});

visiting("two files in a row are both done, and both saved", {}, async ({ page }) => {
  await page.setInputFiles("#file", [files.small, files.turned]);
  await page.waitForSelector('li:nth-child(2) .thumb[data-state="done"]');
  assert.equal(await page.textContent("#picture-name"), "small.dng");
  await page.focus("#canvas");
  await page.keyboard.press("n");
  assert.equal(await page.textContent("#picture-name"), "turned.dng");
  await page.keyboard.press("p");
  const names = [];
  page.on("download", (download) => names.push(download.suggestedFilename()));
  await page.click("#save-all");
  await page.waitForFunction(() => document.querySelector("#toast").textContent === "2 pictures are saved");
  // The browser may tell of a download after the page has.
  for (let i = 0; names.length < 2 && i < 50; i++) await page.waitForTimeout(100);
  assert.deepEqual(names.sort(), ["small-scotopic.jpg", "turned-scotopic.jpg"]);
  await page.hover("li:nth-child(1)");
  await page.click("li:nth-child(1) .remove");
  assert.equal(await page.isVisible("#strip"), false);
  assert.equal(await page.textContent("#picture-name"), "turned.dng");
});

visiting("the keyboard alone picks, zooms, moves the line and saves", {}, async ({ page }) => {
  const chooser = page.waitForEvent("filechooser");
  for (let presses = 0; presses < 12; presses += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.id === "pick")) break;
  }
  await page.keyboard.press("Enter");
  await (await chooser).setFiles(files.small);
  await settled(page);
  const reached = new Set([await page.evaluate(() => document.activeElement.id)]); // From where choosing has left it.
  for (let presses = 0; presses < 30; presses += 1) {
    await page.keyboard.press("Tab");
    const id = await page.evaluate(() => document.activeElement.id || document.activeElement.value);
    reached.add(id);
    if (id === "edge") {
      const where = () => page.getAttribute("#edge", "aria-valuenow");
      await page.keyboard.press("End");
      assert.equal(await where(), "100");
      await page.keyboard.press("ArrowLeft");
      assert.equal(await where(), "98");
    }
    if (id === "ev") {
      await page.keyboard.press("ArrowRight");
      assert.equal(await page.textContent("#ev-now"), "+0.05 EV");
    }
    if (id === "save") break;
  }
  for (const id of ["canvas", "edge", "ev", "strength", "temperature", "tint", "reset", "save"]) assert.ok(reached.has(id), id);
  await page.keyboard.press("+");
  await page.keyboard.press("1");
  assert.equal(await page.textContent("#zoom-now"), "100%");
  await page.click("#settings-open");
  await page.selectOption("#keys", "off");
  await page.keyboard.press("Escape");
  await page.focus("#save");
  await page.keyboard.press("+");
  assert.equal(await page.textContent("#zoom-now"), "100%");
  await page.focus("#canvas");
  await page.keyboard.press("+");
  assert.notEqual(await page.textContent("#zoom-now"), "100%");
  const coming = page.waitForEvent("download");
  await page.keyboard.press("Control+s");
  await coming;
});

/** Dispatches what the browser does on Ctrl+V, with a file as from a file manager, or with words. */
async function paste(page, { path, name, words }) {
  const base64 = path ? (await readFile(path)).toString("base64") : null;
  await page.evaluate(([base64, name, words]) => {
    const clipboardData = new DataTransfer();
    if (base64) clipboardData.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name));
    else clipboardData.setData("text/plain", words);
    document.activeElement.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
  }, [base64, name, words]);
}

visiting("a pasted RAW photo is enhanced, a second one waits beside it, and pasted words do nothing", { viewport: { width: 1280, height: 900 } }, async ({ page }) => {
  await paste(page, { words: "small.dng" });
  assert.equal(await page.isVisible("#start"), true);
  await paste(page, { path: files.small, name: "pasted.dng" });
  await settled(page);
  assert.equal(await page.textContent("#picture-name"), "pasted.dng");
  await agree(page, "small", SMALL);
  await paste(page, { path: files.turned, name: "again.dng" });
  await page.waitForSelector('li:nth-child(2) .thumb[data-state="done"]');
  assert.equal(await page.textContent("#picture-name"), "again.dng");
});

visiting("files that the system opens with the installed page are enhanced in their order", { viewport: { width: 1280, height: 900 } }, async ({ page, context }) => {
  // Handles as the system's are, of files in the browser's own store; headless Chromium opens no page with files.
  for (const [name, path] of [["first.dng", files.small], ["second.dng", files.turned]]) {
    const base64 = (await readFile(path)).toString("base64");
    await page.evaluate(async ([name, base64]) => {
      const folder = await navigator.storage.getDirectory();
      const writable = await (await folder.getFileHandle(name, { create: true })).createWritable();
      await writable.write(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
      await writable.close();
    }, [name, base64]);
  }
  await context.addInitScript(() => {
    const launched = async (consumer) => {
      const folder = await navigator.storage.getDirectory();
      consumer({ targetURL: location.href, files: [] }); // Opened from the home screen, without a file.
      consumer({ targetURL: location.href, files: await Promise.all(["first.dng", "second.dng"].map((name) => folder.getFileHandle(name))) });
    };
    Object.defineProperty(window, "launchQueue", { value: { setConsumer: launched } });
  });
  // They come before the page knows who is to work on them.
  await context.route("**/api/status", async (route) => {
    await page.waitForSelector("#work:not([hidden])");
    await route.continue();
  });
  await page.reload();
  await page.waitForSelector('li:nth-child(2) .thumb[data-state="done"]');
  assert.equal(await page.textContent("#picture-name"), "first.dng");
  await agree(page, "small", SMALL);
  await page.click("li:nth-child(2) .thumb");
  assert.equal(await page.textContent("#picture-name"), "second.dng");
  assert.equal(await page.locator("li .thumb").count(), 2);
});

visiting("Share hands the whole JPEG to another app; closing it is no failure, and without it there is no button", {}, async ({ page, context }) => {
  await page.setInputFiles("#file", files.small);
  await settled(page);
  assert.equal(await page.evaluate(() => "canShare" in navigator), false, "headless Chromium shares nothing itself");
  assert.equal(await page.isVisible("#save"), true);
  assert.equal(await page.isVisible("#share"), false);

  // The system's Share, which keeps what it was given or ends as it is told.
  await context.addInitScript(() => {
    window.shares = [];
    navigator.canShare = ({ files = [] }) => files.length > 0 && files.every((file) => file instanceof File && file.type === "image/jpeg");
    navigator.share = async (given) => {
      if (!navigator.canShare(given)) throw new TypeError("no files that can be shared");
      if (!navigator.userActivation.isActive) throw new DOMException("no press", "NotAllowedError");
      window.shares.push(given);
      if (window.ends) throw new DOMException("as told", window.ends);
    };
  });
  await page.reload();
  await ready(page);
  await page.setInputFiles("#file", files.dark_eagles);
  await page.waitForSelector('#stage[data-state="enhancing"]');
  assert.equal(await page.isVisible("#share"), true);
  assert.equal(await page.isEnabled("#share"), false);
  await settled(page);
  const pressed = async (ends) => {
    const before = await page.evaluate((ends) => {
      window.ends = ends;
      return window.shares.length;
    }, ends);
    await page.click("#share");
    await page.waitForFunction((before) => window.shares.length > before, before);
    await page.waitForFunction(() => !/^Writing/.test(document.querySelector("#toast.shown")?.textContent ?? ""));
    await page.waitForTimeout(100);
    return page.evaluate(() => (document.querySelector("#toast.shown") ? document.querySelector("#toast").textContent : ""));
  };
  // A press counts for five seconds, and writing the file may take longer: then the page asks for another.
  await page.click("#share");
  await page.waitForFunction(() => window.shares.length || /once more/.test(document.querySelector("#toast").textContent));
  if (!(await page.evaluate(() => window.shares.length))) assert.equal(await pressed(null), "");
  const [name, type, base64] = await page.evaluate(async () => {
    const [file] = window.shares[0].files;
    const url = await new Promise((done) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.readAsDataURL(file);
    });
    return [file.name, file.type, url.slice(url.indexOf(",") + 1)];
  });
  assert.deepEqual([name, type], ["dark_eagles-scotopic.jpg", "image/jpeg"]);
  const path = join(folder, "shared.jpg");
  await writeFile(path, Buffer.from(base64, "base64"));
  const told = await pictures("describe", path);
  assert.equal(told.format, "JPEG");
  assert.deepEqual(told.size, WHOLE);
  assert.equal(told.exif["EXIF ISOSpeedRatings"], "320");
  const apart = await pictures("compare", path, join(folder, "dark_eagles.png"));
  assert.ok(apart.mean < 3, JSON.stringify(apart));

  assert.equal(await pressed("AbortError"), "");
  assert.match(await pressed("NotAllowedError"), /once more/);
  assert.match(await pressed("DataError"), /Sharing did not work: as told/);
});

const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

visiting("a phone shows all of it, in German, with room for fingers, and two of them zoom", { ...phone, locale: "de-DE" }, async ({ page, context }) => {
  assert.equal(await page.textContent("#pick"), "RAW-Fotos wählen");
  await page.setInputFiles("#file", files.small);
  await settled(page);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `the page is ${wide} wide`);
  const small = await page.$$eval("button, select, .segments label, summary, [role=slider], input[type=range]", (targets) => targets
    .filter((target) => target.checkVisibility() && !target.closest("dialog, #start"))
    .map((target) => [target.id || target.textContent, target.getBoundingClientRect()])
    .filter(([, box]) => box.height < 39.5 || box.width < 39.5)
    .map(([name, box]) => `${name} ${box.width}x${box.height}`));
  assert.deepEqual(small, []);
  const fitted = await page.textContent("#zoom-now");
  const hands = await context.newCDPSession(page);
  const touch = (type, ...points) => hands.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
  await touch("touchStart", [150, 250], [240, 250]);
  await touch("touchMove", [100, 250], [290, 250]);
  await touch("touchMove", [50, 250], [340, 250]);
  await touch("touchEnd");
  assert.ok(parseInt(await page.textContent("#zoom-now")) > 1.5 * parseInt(fitted));
  await settled(page);
});

for (const colorScheme of ["light", "dark"]) {
  visiting(`axe finds nothing serious, ${colorScheme}`, { colorScheme }, async ({ page }) => {
    const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    await page.evaluate(axe); // The page's policy forbids a script of others; the debugger may.
    const found = [];
    const look = async (where) => {
      // Colours on their way from one to another are neither.
      await page.evaluate(() => Promise.all(document.getAnimations().filter((a) => a.effect.getTiming().iterations < 9).map((a) => a.finished.catch(() => 0))));
      const { violations } = await page.evaluate(() => window.axe.run());
      for (const { id, impact, nodes } of violations) {
        if (["serious", "critical"].includes(impact)) found.push(`${where}: ${id} at ${nodes.map((node) => node.target).join(" ")}`);
      }
    };
    await look("start");
    await page.setInputFiles("#file", [files.small, files.letter]);
    await settled(page);
    await page.waitForSelector('li:nth-child(2) .thumb[data-state="failed"]');
    await look("picture");
    await page.click("li:nth-child(2) .thumb");
    await look("failure");
    for (const dialog of ["settings", "help"]) {
      await page.click(`#${dialog}-open`);
      await look(dialog);
      await page.keyboard.press("Escape");
    }
    assert.deepEqual(found, []);
  });
}

visiting("the choice of appearance and language lasts", {}, async ({ page }) => {
  await page.click("#settings-open");
  await page.check('input[name="theme"][value="dark"]');
  await page.selectOption("#language", "de");
  await page.reload();
  await ready(page);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  assert.equal(await page.getAttribute("html", "lang"), "de");
  assert.equal(await page.textContent("#start-title"), "Sehen, was im Dunkeln war");
});

visiting("the computer does the same work when asked, with sliders, cancel and plain words", {}, async ({ page }) => {
  await page.click("#settings-open");
  await page.check('input[name="place"][value="computer"]');
  await page.keyboard.press("Escape");
  assert.match(await page.textContent("#promise"), /computer/);
  await page.setInputFiles("#file", files.small);
  await settled(page);
  const seen = join(folder, "computer-seen.png");
  await screenPixels(page, seen, SMALL);
  const apart = await pictures("compare", seen, join(folder, "small.png"));
  assert.ok(apart.mean < 3, JSON.stringify(apart)); // It came as a JPEG.
  await page.$eval("#ev", (slider) => {
    slider.value = 1;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await page.waitForTimeout(300);
  await settled(page);
  const brighter = join(folder, "computer-brighter.png");
  await screenPixels(page, brighter, SMALL);
  assert.ok((await pictures("compare", brighter, seen)).light > apart.light + 15);
  const coming = page.waitForEvent("download");
  await page.click("#save");
  assert.equal((await coming).suggestedFilename(), "small-scotopic.jpg");
  await page.setInputFiles("#file", files.dark_eagles);
  await page.waitForSelector('#stage[data-state="opening"]');
  await page.click("#cancel");
  await page.waitForSelector('#stage[data-state="cancelled"]');
  await page.setInputFiles("#file", files.letter);
  await page.waitForSelector('#stage[data-state="failed"]');
  assert.equal(await page.textContent("#notice-title"), "This is not a RAW photo");
});

test("on a plain host the page isolates itself, works with the host gone, takes shares and tells of a new version", async () => {
  const site = await temporary();
  await writeSite(site);
  let plain = await host(site);
  const { page, context, errors } = await visit(browser, plain.url);
  try {
    await page.waitForFunction(() => window.crossOriginIsolated); // After one reload of its own.
    await ready(page);

    // As another app's Share: a form of the installed page's manifest.
    const share = async () => {
      const content = (await readFile(files.small)).toString("base64");
      await page.evaluate((content) => {
        const form = document.createElement("form");
        Object.assign(form, { method: "post", action: "share-target", enctype: "multipart/form-data" });
        const input = Object.assign(document.createElement("input"), { type: "file", name: "files" });
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], "Nacht über Köln.dng"));
        input.files = transfer.files;
        form.append(input);
        document.body.append(form);
        form.submit();
      }, content);
      await page.waitForSelector("#work:not([hidden])");
    };
    await share();
    await settled(page);
    assert.equal(await page.textContent("#picture-name"), "Nacht über Köln.dng");
    assert.doesNotMatch(page.url(), /shared/);

    await plain.stop();
    await page.reload();
    await ready(page);
    assert.equal(await page.evaluate(() => window.crossOriginIsolated), true);
    await page.setInputFiles("#file", files.small);
    await settled(page);
    await agree(page, "small", SMALL);
    const coming = page.waitForEvent("download");
    await page.click("#save");
    await coming;
    await share();
    await settled(page);
    assert.deepEqual(errors, []);
  } finally {
    await context.close();
    await plain.stop();
  }

  plain = await host(site);
  const visitor = await visit(browser, plain.url);
  try {
    await visitor.page.waitForFunction(() => window.crossOriginIsolated);
    await ready(visitor.page);
    const precache = join(site, "precache.js");
    const words = await readFile(precache, "utf8");
    const [, version] = words.match(/"version":\s*"(\w+)"/);
    await writeFile(precache, words.replace(version, "another"));
    await visitor.page.evaluate(() => navigator.serviceWorker.getRegistration().then((found) => found.update()));
    await visitor.page.waitForSelector("#update:not([hidden])");
    await visitor.page.evaluate(() => {
      window.before = true;
    });
    await visitor.page.click("#update-now");
    await visitor.page.waitForFunction(() => !window.before && document.documentElement.dataset.ready);
    const names = await visitor.page.evaluate(() => caches.keys());
    assert.ok(names.includes(`scotopic-page ${plain.url} another`) && !names.includes(`scotopic-page ${plain.url} ${version}`), names.join());
    assert.deepEqual(visitor.errors, []);
  } finally {
    await visitor.context.close();
    await plain.stop();
    await remove(site);
  }
});
