// The page on screens of every size, with large text, for fingers and for the keyboard alone.

import assert from "node:assert/strict";
import { hosting, ISOLATED, settled, toast } from "./browser.mjs";

const { here, hosted } = hosting();

/** What lies beyond the sides of the screen. */
const beyond = (page) => page.evaluate(() => {
  const wide = document.documentElement.scrollWidth;
  const parts = [...document.querySelectorAll("button, h1, h2, h3, label, output, p, summary, dialog, select, input, .toast, .tag")]
    .filter((part) => part.checkVisibility() && !part.closest(".visually-hidden, .strip, .skip") && !part.matches("#file"))
    .map((part) => [part.id || part.className || part.textContent.trim(), part.getBoundingClientRect()])
    .filter(([, box]) => box.width && (box.right > window.innerWidth + 1 || box.left < -1))
    .map(([name]) => name);
  return wide > window.innerWidth ? [`${wide} wide`, ...parts] : parts;
});

hosted("the start page fits every width, in both languages", { line: { headers: ISOLATED } }, async ({ page }) => {
  for (const language of ["en", "de"]) {
    await page.click("#settings-open");
    await page.selectOption("#language", language);
    await page.keyboard.press("Escape");
    for (const [width, height] of [[320, 568], [390, 844], [568, 320], [641, 375], [667, 375], [700, 375], [760, 600], [849, 600], [1280, 800]]) {
      await page.setViewportSize({ width, height });
      assert.deepEqual(await beyond(page), [], `${language} ${width}`);
    }
  }
});

for (const [width, height] of [[320, 568], [390, 844], [1280, 800]]) {
  hosted(`text twice as large stays on a screen ${width} wide`, {
    line: { headers: ISOLATED }, visitor: { viewport: { width, height }, locale: "de-DE" },
  }, async ({ page }) => {
    await page.evaluate(() => (document.documentElement.style.fontSize = "200%"));
    const look = async (where) => assert.deepEqual(await beyond(page), [], where);
    await look("start");
    await page.setInputFiles("#file", [here.files.small, here.files.letter]);
    await settled(page);
    await look("work");
    await page.click("#save");
    await toast(page, "gesichert");
    await look("toast");
    for (const dialog of ["settings", "help"]) {
      await page.click(`#${dialog}-open`, { timeout: 5000 });
      await look(dialog);
      const box = await page.locator(`#${dialog}`).boundingBox();
      assert.ok(box.y >= 0 && box.y + box.height <= height, dialog);
      await page.keyboard.press("Escape");
    }
    await page.waitForSelector('li:nth-child(2) .thumb[data-state="failed"]');
    await page.click("li:nth-child(2) .thumb");
    await look("failure");
  });
}

/** What of Save JPEG lies on the screen: its height, and that of all of it. */
const saveSeen = (page) => page.evaluate(() => {
  const box = document.querySelector("#save").getBoundingClientRect();
  const bar = document.querySelector(".actions").getBoundingClientRect();
  const [top, bottom] = [Math.max(box.top, bar.top, 0), Math.min(box.bottom, bar.bottom, window.innerHeight)];
  return [Math.round(bottom - top), Math.round(box.height)];
});

hosted("what saves is on screens of any size, with text of any", { line: { headers: ISOLATED } }, async ({ page }) => {
  await page.setInputFiles("#file", [here.files.small, here.files.turned]);
  await page.waitForSelector('li:nth-child(2) .thumb[data-state="done"]');
  for (const [width, height, text, rows] of [
    [844, 390, 100, 1], [667, 320, 100, 1], [320, 568, 100, 2], [390, 844, 100, 2], [844, 390, 200], [1280, 800, 200], [390, 844, 200], [320, 568, 200],
  ]) {
    const where = `${width}x${height}, text ${text}%`;
    await page.setViewportSize({ width, height });
    await page.evaluate((text) => (document.documentElement.style.fontSize = `${text}%`), text);
    for (const place of [1, 2]) {
      await page.click(`li:nth-child(${place}) .thumb`);
      await page.waitForSelector(`li:nth-child(${place}) .thumb[aria-current="true"]`);
      await settled(page);
      const [seen, whole] = await saveSeen(page);
      assert.ok(whole > 0 && seen >= whole, `${where}: ${seen} of ${whole} pixels`);
    }
    if (!rows) continue;
    const bar = await page.locator(".actions").boundingBox();
    assert.ok(bar.y + bar.height <= height + 1, `${where}: the bar ends at ${bar.y + bar.height}`);
    assert.ok(bar.height < 32 + 52 * rows, `${where}: the bar is ${bar.height} high`);
    const room = await page.evaluate(() => {
      const above = innerWidth > 640 ? document.querySelector(".panel") : document.querySelector("#stage");
      const free = innerWidth > 640 ? above.getBoundingClientRect().top : above.getBoundingClientRect().bottom;
      return document.querySelector(".actions").getBoundingClientRect().top - free;
    });
    assert.ok(room >= 150, `${where}: ${room} pixels for sliders`);
  }
});

hosted("nothing that has the focus lies behind the picture, on screens of any size", { line: { headers: ISOLATED } }, async ({ page }) => {
  await page.setInputFiles("#file", [here.files.small, here.files.turned]);
  await page.waitForSelector('li:nth-child(2) .thumb[data-state="done"]');
  for (const [width, height] of [[640, 400], [390, 844], [320, 568]]) {
    await page.setViewportSize({ width, height });
    await settled(page);
    // From the page's beginning.
    await page.evaluate(() => {
      document.body.tabIndex = -1;
      document.body.focus();
      document.body.removeAttribute("tabindex");
    });
    const reached = [];
    for (const key of ["Tab", "Shift+Tab"]) {
      for (let presses = 0; presses < 32; presses += 1) {
        await page.keyboard.press(key);
        const [name, hidden] = await page.evaluate(() => {
          const focused = document.activeElement;
          const seen = focused.matches("[type=radio]") ? focused.closest("label") : focused;
          const box = seen.getBoundingClientRect();
          const visible = [0.25, 0.5, 0.75].some((part) => {
            const at = document.elementFromPoint(box.left + box.width * part, box.top + box.height / 2);
            return at && seen.contains(at);
          });
          const name = focused.id || focused.value || focused.className;
          return [name, focused !== document.body && !visible];
        });
        assert.ok(!hidden, `${width}x${height}, ${key}: ${name} is hidden`);
        reached.push(name);
      }
    }
    const before = (first, second) => reached.indexOf(first) >= 0 && reached.indexOf(first) < reached.indexOf(second);
    const order = before("canvas", "thumb") && before("thumb", "ev") && before("ev", "save");
    assert.ok(order, `${width}x${height}: ${reached.join()}`);
  }
});

hosted("of a failure the way out is on the screen, or where a thumb scrolls to", { line: { headers: ISOLATED } }, async ({ page }) => {
  const buffer = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe1]), Buffer.alloc(600)]);
  await page.setInputFiles("#file", { name: "IMG_0001.DNG", mimeType: "", buffer });
  await page.waitForSelector('#stage[data-state="failed"]');
  for (const [width, height] of [[390, 664], [360, 640], [320, 568], [667, 331], [568, 320], [740, 360], [1280, 800]]) {
    await page.setViewportSize({ width, height });
    const seen = await page.evaluate(async () => {
      const button = document.querySelector("#notice-pick");
      button.scrollIntoView({ block: "nearest" });
      await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
      const box = button.getBoundingClientRect();
      const at = document.elementFromPoint(box.left + box.width / 2, box.bottom - 4);
      const notice = document.querySelector("#notice");
      return { seen: button.contains(at), inside: Math.round(notice.scrollTop), page: Math.round(scrollY) };
    });
    assert.deepEqual({ ...seen, page: 0 }, { seen: true, inside: 0, page: 0 }, `${width}x${height}`);
  }
});

hosted("a picture keeps its room on a low screen held sideways", { line: { headers: ISOLATED } }, async ({ page }) => {
  await page.setInputFiles("#file", here.files.small);
  await settled(page);
  for (const [width, height] of [[568, 320], [667, 331], [640, 360]]) {
    await page.setViewportSize({ width, height });
    const box = await page.locator("#stage").boundingBox();
    assert.ok(box.height >= 0.6 * height && box.width >= 0.5 * width, `${width}x${height}: ${box.width}x${box.height}`);
  }
});

hosted("the names of the two developments lie beside each other, however large the text", {
  line: { headers: ISOLATED }, visitor: { viewport: { width: 320, height: 568 }, locale: "de-DE" },
}, async ({ page }) => {
  await page.evaluate(() => (document.documentElement.style.fontSize = "200%"));
  const [left, right] = await Promise.all(["left", "right"].map((side) => page.locator(`.demo .tag.${side}`).boundingBox()));
  assert.ok(left.x + left.width <= right.x, `${left.x + left.width} and ${right.x}`);
});

const PHONE = {
  viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true,
  userAgent: "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile Safari/537.36",
};

hosted("on a phone several photos are enhanced by themselves", { line: { headers: ISOLATED }, visitor: PHONE }, async ({ page }) => {
  await page.setInputFiles("#file", [here.files.dark_eagles, here.files.letter, here.files.small, here.files.turned]);
  await page.waitForSelector('li:nth-child(2) .thumb[data-state="failed"]');
  await page.waitForSelector('li:nth-child(4) .thumb[data-state="done"]');
  assert.equal(await page.textContent("#picture-name"), "dark_eagles.dng");
  assert.equal(await page.getAttribute("#stage", "data-state"), "done");
});

hosted("a photo too large to be worked on beside another shows its preview, says so, and waits until it is chosen", {
  line: { headers: ISOLATED }, visitor: PHONE,
}, async ({ page }) => {
  await page.setInputFiles("#file", [here.files.small, here.files.wide, here.files.turned]);
  await toast(page, "wide.dng is large for this device: choose it to work on it");
  await page.waitForSelector('li:nth-child(3) .thumb[data-state="done"]');
  const large = page.locator("li:nth-child(2) .thumb");
  assert.equal(await large.getAttribute("data-state"), "resting");
  assert.equal(await large.getAttribute("aria-label"), "wide.dng, waits until you choose it");
  assert.ok(await large.getAttribute("data-thumb"), "its preview is there");
  await large.click();
  await page.waitForSelector('#stage[data-state="enhancing"]');
});

hosted("the keyboard goes on where a picture was removed", { line: { headers: ISOLATED } }, async ({ page }) => {
  await page.setInputFiles("#file", [here.files.small, here.files.letter, here.files.turned]);
  await page.waitForSelector('li:nth-child(3) .thumb[data-state="done"]');
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") || document.activeElement.id);
  for (const [at, next] of [[2, /^turned/], [2, /^small\.dng, traditional/]]) {
    await page.focus(`li:nth-child(${at}) .remove`);
    await page.keyboard.press("Enter");
    if (await page.isVisible("#sure")) await page.click('#sure [value="yes"]');
    assert.match(await focused(), next);
  }
});

hosted("a finger that scrolls moves no slider", { line: { headers: ISOLATED }, visitor: PHONE }, async ({ page, context }) => {
  await page.setInputFiles("#file", here.files.small);
  await settled(page);
  const hands = await context.newCDPSession(page);
  const touch = async (id, across, up) => {
    const box = await page.locator(id).boundingBox();
    const [x, y] = [box.x + box.width * 0.3, box.y + box.height / 2];
    for (let step = 0; step <= 12; step += 1) {
      const touchPoints = [{ x: x + across * step, y: y - up * step, id: 1 }];
      await hands.send("Input.dispatchTouchEvent", { type: step ? "touchMove" : "touchStart", touchPoints });
      await page.waitForTimeout(16);
    }
    await hands.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
    await settled(page);
  };
  const values = () => page.evaluate(() => {
    const { ev, strength, temperature, tint, wb } = document.querySelector("form").elements;
    return [ev.value, strength.value, temperature.value, tint.value, wb.value];
  });
  const before = await values();
  for (const id of ["#ev", "#strength", "#temperature"]) {
    await page.evaluate(() => scrollTo(0, 0));
    await touch(id, 0, 15);
    assert.ok(await page.evaluate(() => scrollY) > 0, `${id}: the page scrolls`);
    assert.deepEqual(await values(), before, id);
  }
  await page.evaluate(() => scrollTo(0, 0));
  await touch("#ev", 8, 0);
  assert.notEqual((await values())[0], before[0], "a finger that goes along a slider moves it");
});
