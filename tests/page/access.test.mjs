// The page for those who hear it, who use the keyboard alone, who see it large, in strong or in their own colours.

import assert from "node:assert/strict";
import { copyFile, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { dropPaths, hosting, ISOLATED, settled, toast } from "./browser.mjs";

const { here, hosted } = hosting();
const line = { headers: ISOLATED };

const active = (page) => page.evaluate(() => document.activeElement.id || document.activeElement.value || document.activeElement.tagName);
const done = (page, at) => page.waitForSelector(`li:nth-child(${at}) .thumb[data-state="done"]`);

/** From now on keeps what is said: {said, titles}, as lists of sentences. */
const listen = (page) => page.evaluate(() => {
  window.said = [];
  window.titles = [];
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) for (const { textContent } of addedNodes) window.said.push(textContent);
  }).observe(document.querySelector("#said"), { childList: true });
  new MutationObserver(() => window.titles.push(document.title))
    .observe(document.querySelector("title"), { childList: true });
});
const saidSo = (page, words) => page.waitForFunction((words) => window.said.some((said) => said.includes(words)), words);

/** The colours of a part of the screen at places 0..1 of its width and height, as [r, g, b]. */
async function colours(page, selector, ...places) {
  const picture = (await page.locator(selector).screenshot()).toString("base64");
  return page.evaluate(async ([picture, places]) => {
    const bytes = Uint8Array.from(atob(picture), (c) => c.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    pen.drawImage(bitmap, 0, 0);
    return places.map(([x, y]) => [...pen.getImageData(x * (bitmap.width - 1), y * (bitmap.height - 1), 1, 1).data].slice(0, 3));
  }, [picture, places]);
}

/** As WCAG 2 has it, from 1 to 21. */
function contrast(...pair) {
  const linear = (value) => (value <= 10 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const [dark, light] = pair.map(([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)).sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

const rgb = (words) => words.match(/\d+/g).slice(0, 3).map(Number);

hosted("what becomes of every picture is said, once each", { line }, async ({ page }) => {
  await listen(page);
  await page.setInputFiles("#file", [here.files.small, here.files.letter, here.files.turned]);
  await saidSo(page, "2 of 3 done, 1 failed");
  const said = await page.evaluate(() => window.said);
  for (const words of [
    "Picture 1 of 3: small.dng, waiting", "small.dng: Taking out the noise", "small.dng: Done in", "letter.dng failed: This is not a RAW photo",
    "turned.dng: Done in",
  ]) assert.equal(said.filter((sentence) => sentence.startsWith(words)).length, 1, `${words} in ${said.join("; ")}`);
  assert.equal(said.length, 6, said.join("; "));
  await page.focus("#canvas");
  await page.keyboard.press("n");
  await saidSo(page, "Picture 2 of 3: letter.dng, failed");
  await page.keyboard.press("n");
  await saidSo(page, "Picture 3 of 3: turned.dng, done");
  const others = await page.$$eval("[role=alert], [role=status], [aria-live], output", (all) => all
    .filter((region) => region.checkVisibility() && (region.ariaLive ?? "polite") !== "off").map(({ id }) => id));
  assert.deepEqual(others, ["said"], "nothing else speaks");
});

hosted("what is stopped is said, and a zoom once it rests", { line }, async ({ page }) => {
  await listen(page);
  await page.setInputFiles("#file", here.files.dark_eagles);
  await page.waitForSelector('#stage[data-state="enhancing"]');
  await page.click("#cancel");
  await saidSo(page, "dark_eagles.dng: stopped");
  await page.evaluate(() => {
    for (const key of ["+", "+", "+"]) document.querySelector("#canvas").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  });
  const now = await page.textContent("#zoom-now");
  await saidSo(page, `Zoom: ${now}`);
  assert.equal(await page.evaluate(() => window.said.filter((words) => words.startsWith("Zoom")).length), 1);
});

hosted("values beside sliders are written where they change alone, and every arrow changes a temperature", { line }, async ({ page }) => {
  await page.setInputFiles("#file", [here.files.small, here.files.turned]);
  await done(page, 2);
  await settled(page);
  await page.evaluate(() => {
    window.written = [];
    const observer = new MutationObserver((changes) => changes.forEach(({ target }) => window.written.push(target.id)));
    for (const output of document.querySelectorAll("output")) observer.observe(output, { childList: true, characterData: true });
  });
  await page.focus("#strength");
  await page.keyboard.press("n");
  await settled(page);
  await page.keyboard.press("ArrowLeft");
  const written = (await page.evaluate(() => window.written)).filter((id) => ["ev-now", "strength-now"].includes(id));
  assert.deepEqual(written, ["strength-now"]);
  await page.focus("#temperature");
  const told = [await page.getAttribute("#temperature", "aria-valuetext")];
  for (let presses = 0; presses < 12; presses += 1) {
    await page.keyboard.press("ArrowLeft");
    told.push(await page.getAttribute("#temperature", "aria-valuetext"));
  }
  assert.equal(new Set(told).size, 13, told.join());
  assert.ok(told.every((words, at) => !at || parseInt(words) < parseInt(told[at - 1])), told.join());
});

hosted("the keyboard keeps its place, or gets one, whatever vanishes under it", { line }, async ({ page }) => {
  const chooser = page.waitForEvent("filechooser");
  await page.focus("#pick");
  await page.keyboard.press("Enter");
  await (await chooser).setFiles([here.files.dark_eagles, here.files.letter]);
  await page.waitForSelector('#stage[data-state="enhancing"]');
  assert.equal(await active(page), "canvas");
  await page.focus("#cancel");
  await page.keyboard.press("Enter");
  await page.waitForSelector('#stage[data-state="cancelled"]');
  assert.equal(await active(page), "cancel");
  await page.waitForSelector('li:nth-child(2) .thumb[data-state="failed"]'); // It would have to wait for that one.
  await page.keyboard.press("Enter"); // It says "Try again" now.
  await page.waitForSelector('#stage[data-state="enhancing"]');
  assert.equal(await active(page), "cancel");
  await page.waitForSelector('#stage[data-state="done"]');
  await page.waitForSelector("#cancel", { state: "hidden" });
  assert.equal(await active(page), "canvas");
  await page.focus("#ev");
  await page.keyboard.press("n");
  assert.equal(await active(page), "notice-pick");
  await page.keyboard.press("p");
  await settled(page);
  assert.equal(await active(page), "canvas");
  await page.focus("#save-all");
  await page.keyboard.press("Enter");
  await toast(page, "1 of 2 pictures are saved");
  assert.equal(await active(page), "save-all");

  const gone = join(here.folder, "vanishes.dng");
  await copyFile(here.files.small, gone);
  await page.setInputFiles("#file", [here.files.dark_eagles, gone]);
  await rm(gone);
  await page.waitForSelector('li:nth-child(4) .thumb[data-state="failed"]');
  await page.click("li:nth-child(4) .thumb");
  await page.focus("#notice-retry");
  await page.keyboard.press("Enter");
  await page.waitForSelector('#stage[data-state="failed"]');
  assert.equal(await active(page), "notice-retry");
});

hosted("what is done and in no file is removed only when that is meant", { line }, async ({ page }) => {
  await listen(page);
  await page.setInputFiles("#file", [here.files.small, here.files.turned]);
  await saidSo(page, "All 2 done");
  for (const button of ["#close", "li:nth-child(2) .remove"]) {
    await page.focus(button);
    await page.keyboard.press("Enter");
    assert.match(await page.textContent("#sure-words"), /^(small|turned)\.dng is done and not saved/);
    assert.equal(await active(page), "no");
    assert.equal(await page.textContent("#sure #said"), "", "what was said before is no part of the question");
    await page.keyboard.press("Enter");
    assert.equal(await page.locator("li .thumb").count(), 2);
    assert.equal(await page.evaluate((button) => document.activeElement.matches(button), button), true);
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    assert.equal(await page.locator("li .thumb").count(), 2);
  }
  const coming = page.waitForEvent("download");
  await page.click("#save");
  await coming;
  await toast(page, "is saved");
  await page.click("#close");
  assert.equal(await page.textContent("#picture-name"), "turned.dng", "what is in a file goes at once");
  await page.click("#close");
  await page.click('#sure [value="yes"]');
  await page.waitForSelector("#start", { state: "visible" });
});

/** Whether the line stands at this share of the picture, and the picture is shown whole. */
const standsAt = async (page, share) => {
  const now = Number(await page.getAttribute("#edge", "aria-valuenow")) / 100;
  assert.ok(Math.abs(now - share) < 0.03, `the line is at ${now}`);
};

for (const [how, options] of [["click", {}], ["tap", { hasTouch: true, isMobile: true }]]) {
  hosted(`one ${how} on the picture moves the line there, two zoom and leave it`, {
    line, visitor: { viewport: { width: 390, height: 844 }, ...options },
  }, async ({ page }) => {
    await page.setInputFiles("#file", here.files.small);
    await settled(page);
    const box = await page.locator("#stage").boundingBox();
    const press = (share) => {
      const [x, y] = [box.x + box.width * share, box.y + box.height / 2];
      return how === "tap" ? page.touchscreen.tap(x, y) : page.mouse.click(x, y);
    };
    await press(0.25);
    await standsAt(page, 0.25);
    await page.waitForTimeout(400); // The next one is another press, not a double one's second.
    const fitted = await page.textContent("#zoom-now");
    await press(0.75);
    await press(0.75);
    await page.waitForFunction((fitted) => document.querySelector("#zoom-now").textContent !== fitted, fitted);
    await standsAt(page, 0.25);
    await page.waitForTimeout(400);
    await press(0.9);
    await standsAt(page, 0.25); // Zoomed in, the picture is what moves.
  });
}

hosted("in a window zoomed to 400% what has the focus is on the screen", {
  line, visitor: { viewport: { width: 320, height: 200 }, locale: "de-DE" },
}, async ({ page }) => {
  await page.setInputFiles("#file", [here.files.small, here.files.turned]);
  await done(page, 2);
  await settled(page);
  for (const height of [150, 200]) {
    await page.setViewportSize({ width: 320, height });
    await settled(page);
    await page.focus("#canvas");
    const hidden = [];
    for (let presses = 0; presses < 22; presses += 1) {
      await page.keyboard.press("Tab");
      const [name, seen] = await page.evaluate(async () => {
        await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
        const focused = document.activeElement;
        const part = focused.matches("[type=radio]") ? focused.closest("label") : focused;
        const box = part.getBoundingClientRect();
        const shares = [1, 3, 5, 7, 9].map((tenth) => tenth / 10);
        const places = shares.flatMap((x) => shares.map((y) => [box.left + box.width * x, box.top + box.height * y]));
        const seen = places.filter((at) => part.contains(document.elementFromPoint(...at))).length / places.length;
        return [focused.id || focused.value || focused.className, focused === document.body ? 1 : seen];
      });
      if (seen < 0.6) hidden.push(`${name} ${seen}`);
    }
    assert.deepEqual(hidden, [], `${height} high`);
  }
});

hosted("where the system's own colours are forced, sliders and bars are seen", { line, visitor: { forcedColors: "active" } }, async ({ page }) => {
  await page.setInputFiles("#file", [here.files.small, here.files.letter]);
  await page.waitForSelector('li:nth-child(2) .thumb[data-state="failed"]');
  await settled(page);
  const [track, beside] = await colours(page, "#ev", [0.2, 0.5], [0.2, 0.1]);
  assert.ok(contrast(track, beside) > 3, `the track is ${track} on ${beside}`);
  const [mark, around] = await colours(page, "li:nth-child(2) .thumb", [0.5, 0.96], [0.5, 0.1]);
  assert.ok(contrast(mark, around) > 2, `a failure's mark is ${mark} on ${around}`);
  await page.evaluate(() => {
    document.querySelector("#busy").hidden = false;
    document.querySelector("#busy-bar").value = 0.5;
  });
  const [full, rest] = await colours(page, "#busy-bar", [0.25, 0.5], [0.75, 0.5]);
  assert.ok(contrast(full, rest) > 3, `the bar is ${full} and ${rest}`);
});

for (const colorScheme of ["light", "dark"]) {
  hosted(`what is drawn and no words has contrast, ${colorScheme}`, { line, visitor: { colorScheme } }, async ({ page }) => {
    await page.setInputFiles("#file", [here.files.small, here.files.turned]);
    await done(page, 2);
    await settled(page);
    const [frame, ground] = await page.evaluate(() => {
      const style = (selector) => getComputedStyle(document.querySelector(selector));
      return [style(".thumb[aria-current]").outlineColor, style("#strip").backgroundColor];
    });
    assert.ok(contrast(rgb(frame), rgb(ground)) > 3, `the frame of the picture chosen is ${frame}`);
    const [fill, beside] = await colours(page, "#strength", [0.3, 0.5], [0.3, 0.1]);
    assert.ok(contrast(fill, beside) > 3, `a slider is ${fill} on ${beside}`);
    await page.evaluate(() => {
      document.querySelector("#busy").hidden = false;
      document.querySelector("#busy-bar").value = 0.5;
    });
    const [full, rest] = await colours(page, "#busy-bar", [0.25, 0.5], [0.75, 0.5]);
    assert.ok(contrast(full, rest) > 3, `the bar is ${full} and ${rest}`);
  });
}

hosted("a picture is called by what is seen of it, and not reached where a failure covers it", { line }, async ({ page }) => {
  await page.setInputFiles("#file", here.files.dark_eagles);
  await page.waitForSelector('#stage[data-state="enhancing"]');
  assert.doesNotMatch(await page.getAttribute("#canvas", "aria-label"), /enhanced/);
  await settled(page);
  assert.match(await page.getAttribute("#canvas", "aria-label"), /^dark_eagles\.dng, traditional on the left, enhanced/);
  await page.setInputFiles("#file", here.files.letter);
  await page.waitForSelector('#stage[data-state="failed"]');
  assert.equal(await page.isVisible("#edge"), false);
  await page.focus("#settings-open");
  await page.keyboard.press("Tab");
  assert.equal(await active(page), "notice-pick");
  const levels = await page.$$eval("h1, h2, h3", (all) => all.filter((heading) => heading.checkVisibility()).map(({ tagName }) => tagName));
  assert.deepEqual(levels, ["H1", "H2", "H2"]);
});

hosted("an error's own words are marked as English, and all follows another language", { line, visitor: { locale: "de-DE" } }, async ({ page }) => {
  assert.equal(await page.getAttribute("#demo-wipe", "aria-valuetext"), "50 % herkömmlich");
  await page.setInputFiles("#file", [here.files.small, here.files.cut]);
  await page.waitForSelector('li:nth-child(2) .thumb[data-state="failed"]');
  await settled(page);
  assert.equal(await page.getAttribute("#edge", "aria-valuetext"), "50 % herkömmlich");
  const folder = join(here.folder, "empty");
  await mkdir(folder);
  await dropPaths(page, folder);
  await toast(page, "In diesem Ordner ist kein RAW-Foto");
  await page.click("li:nth-child(2) .thumb");
  assert.match(await page.textContent('#notice-detail [lang="en"]'), /^the RAW file is cut short/);
  await page.click("#settings-open");
  await page.selectOption("#language", "en");
  await page.keyboard.press("Escape");
  await toast(page, "There is no RAW photo in this folder");
  for (const line of ["#edge", "#demo-wipe"]) assert.equal(await page.getAttribute(line, "aria-valuetext"), "50% traditional");
});

hosted("what went wrong stays on the screen until it is put away", { line }, async ({ page }) => {
  const folder = join(here.folder, "nothing");
  await mkdir(folder);
  await page.clock.install();
  await dropPaths(page, folder);
  await toast(page, "There is no RAW photo in this folder");
  await page.clock.fastForward(60_000);
  assert.equal(await page.isVisible("#toast"), true);
  await page.focus("#toast button");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => !document.querySelector("#toast.shown"));
  assert.equal(await active(page), "pick");
});

hosted("under an open dialog nothing is told that is not told in it, and Enter on a radio leaves it open", { line }, async ({ page }) => {
  await page.setInputFiles("#file", here.files.small);
  await page.click("#settings-open");
  await listen(page);
  await toast(page, "Done in");
  assert.equal(await page.evaluate(() => ["toast", "said"].every((id) => document.querySelector("#settings[open]").contains(document.getElementById(id)))), true);
  await saidSo(page, "small.dng: Done in");
  await page.focus('input[name="theme"]:checked');
  await page.keyboard.press("Enter");
  assert.equal(await page.isVisible("#settings"), true);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => ["toast", "said"].every((id) => document.getElementById(id).parentElement === document.body));
});

hosted("the title says what is under way, and what became of it", { line }, async ({ page }) => {
  assert.equal(await page.title(), "scotopic");
  await listen(page);
  await page.setInputFiles("#file", [here.files.dark_eagles, here.files.letter]);
  await page.waitForSelector('li:nth-child(2) .thumb[data-state="failed"]');
  await settled(page);
  assert.equal(await page.title(), "Done · dark_eagles.dng · scotopic");
  const titles = await page.evaluate(() => window.titles);
  assert.ok(titles.some((title) => /^1 of 2 · \d+% · scotopic$/.test(title)), titles.join("; "));
  await page.click("li:nth-child(2) .thumb");
  assert.equal(await page.title(), "Failed · letter.dng · scotopic");
});

hosted("without movement a bar that knows no share shows none", { line, visitor: { reducedMotion: "reduce" } }, async ({ page }) => {
  const look = await page.evaluate(() => {
    document.querySelector("#start").hidden = true;
    for (const id of ["work", "busy"]) document.getElementById(id).hidden = false;
    document.querySelector("#busy-bar").removeAttribute("value");
    return getComputedStyle(document.querySelector("#busy-bar")).backgroundImage;
  });
  assert.match(look, /^repeating-linear-gradient/);
});
