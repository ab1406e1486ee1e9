// The queue and what saves its pictures, against a worker of few words: nothing waits for ever, nothing is lost.

import assert from "node:assert/strict";
import { test } from "node:test";

const element = () => ({ click() {}, remove() {}, append() {}, style: {} });
globalThis.document = { documentElement: { lang: "en" }, createElement: element, body: { append() {} }, querySelectorAll: () => [] };
URL.createObjectURL = () => "blob:x";
URL.revokeObjectURL = () => {};

// What the page forgets after a minute is not waited for.
const later = globalThis.setTimeout;
globalThis.setTimeout = (call, ms, ...rest) => (ms > 1000 ? later(call, ms, ...rest).unref() : later(call, ms, ...rest));

import { OTHER } from "./other-settings.mjs";

const STATIC = "../../src/scotopic/web/static";
const { keyOf, START, workOf } = await import(`${STATIC}/choices.js`);
const { Queue } = await import(`${STATIC}/screen/queue.js`);
const { say } = await import(`${STATIC}/screen/i18n.js`);
const { Renders } = await import(`${STATIC}/screen/render.js`);
const { Saving } = await import(`${STATIC}/screen/saving.js`);

const tick = (ms = 10) => new Promise((heard) => setTimeout(heard, ms));

/** `count` pictures of 12 MP where there is room for one; the worker answers saves itself, the test all else. */
function world(count) {
  const open = new Set();
  const said = [];
  const queue = new Queue({ ask, changed() {}, chosen() {}, budget: 16 });
  const saving = new Saving({ queue, ask, tell: (key, values) => said.push(say(key, values)), quality: () => 90 });
  function ask({ type, id }) {
    if (type === "open") open.add(id);
    if (type === "close") {
      open.delete(id);
      saving.stopped(id);
    }
    if (type === "save") setTimeout(() => answer(id));
  }
  function answer(id) {
    if (open.has(id)) return saving.saved({ id, blob: new Blob(["x"]), name: `${id}.jpg` });
    const failure = { type: "failed", during: "save", id, words: `no picture ${id} is open`, code: "internal", facts: {} };
    saving.failed(failure);
    queue.heard(failure);
  }
  queue.add(Array.from({ length: count }, (_, n) => ({ name: `p${n}`, size: 18e6 })));
  const opened = ({ id }) => queue.heard({ type: "opened", id, info: { megapixels: 12 } });
  const done = ({ id }) => queue.heard({ type: "enhanced", id, seconds: 1 });
  return { queue, saving, said, opened, done, pictures: queue.pictures };
}

/** Does something as soon as `so` is so, between one answer and the next. */
async function once(so, act) {
  for (let turns = 0; !so(); turns++) {
    assert.ok(turns < 1000, `never came: ${so}`);
    await Promise.resolve();
  }
  act();
}

/** Whether this comes to its end, with a worker that meanwhile opens and enhances what it is asked to. */
async function ended(promise, { opened, done, pictures }) {
  let end = "waits for ever";
  promise.then(() => { end = "ended"; });
  for (let turn = 0; turn < 1000 && end !== "ended"; turn++) {
    await tick();
    for (const picture of pictures) {
      if (picture.state === "opening") opened(picture);
      if (picture.state === "enhancing") done(picture);
    }
  }
  return end;
}

test("a picture that is looked at while another is saved costs that one nothing", async () => {
  const { queue, saving, said, opened, done, pictures } = world(2);
  const [first, second] = pictures;
  opened(first);
  done(first);
  const all = saving.saveAll();
  await tick();
  opened(second);
  queue.select(first);
  done(second);
  assert.equal(await ended(all, { opened, done, pictures }), "ended");
  assert.match(said.at(-1), /2/);
  assert.ok(!said.some((words) => words.includes("no picture")), said.join("; "));
});

test("a cancel stops the file that is written and the one that waits for it, and what is wished later is written", async () => {
  const { queue, saving, said, opened, done, pictures } = world(1);
  const [picture] = pictures;
  opened(picture);
  done(picture);
  const asked = [];
  saving.ask = ({ type, format }) => asked.push(format ?? type);
  const saved = ["jpg", "dng"].map((format) => saving.save(picture, format));
  await tick();
  assert.deepEqual(asked, ["jpg"], "one at a time");
  saving.cancel(picture);
  saving.stopped(picture.id); // The worker's answer.
  assert.deepEqual(await Promise.all(saved), [false, false]);
  assert.deepEqual(asked, ["jpg", "cancel"]);
  assert.equal(said.filter((words) => words === say("saveStopped")).length, 2);

  // Wished between the cancel and its answer: a wish of its own, though it is for the same file.
  const first = saving.save(picture, "dng");
  await tick();
  saving.cancel(picture);
  const second = saving.save(picture, "dng");
  saving.stopped(picture.id);
  assert.equal(await first, false);
  await tick();
  assert.deepEqual(asked.slice(2), ["dng", "cancel", "dng"]);
  saving.failed({ id: picture.id, words: "full" });
  assert.equal(await second, false);
  assert.equal(saving.busy(), false);
  assert.equal(queue.pictures.length, 1);
});

test("saving all goes on while a picture that fills the memory is looked at", async () => {
  const { queue, saving, said, opened, done, pictures } = world(3);
  const [a, b, c] = pictures;
  opened(a);
  done(a);
  await tick();
  queue.select(c);
  const all = saving.saveAll();
  await tick();
  opened(c);
  queue.select(c);
  done(c);
  assert.equal(await ended(all, { opened, done, pictures }), "ended");
  assert.match(said.at(-1), /3/);
  assert.ok(pictures.every(({ wanted }) => wanted === 0));
});

/** A phone's queue of pictures of these megapixels (0 is no photo), and a worker that answers at once, in turn. */
function phone(...sizes) {
  const place = sizes.includes("computer") ? "computer" : "device";
  sizes = sizes.filter((size) => size !== "computer");
  const asked = [];
  const open = new Map();
  const cancelled = new Set();
  const told = { most: 0 };
  let turn = Promise.resolve();
  const answers = {
    open: ({ id, file }) => {
      if (!file.megapixels) return [{ type: "failed", during: "open", code: "not-raw", words: "" }];
      open.set(id, file.megapixels);
      return [{ type: "opened", info: { megapixels: file.megapixels } }, { type: "preview", image: {} }];
    },
    enhance: ({ id }) => {
      if (cancelled.delete(id) || !open.has(id)) return [{ type: "cancelled", during: "enhance" }];
      told.most = Math.max(told.most, [...open.values()].reduce((sum, megapixels) => sum + megapixels));
      return [{ type: "enhanced", seconds: 1 }];
    },
    rest: ({ id }) => open.delete(id) && [{ type: "rested" }],
  };
  const ask = (message) => {
    const picture = queue.find(message.id);
    asked.push(`${message.type} ${picture.name}${message.type === "enhance" ? ` ${message.settings.passes}` : ""}`);
    picture.by = place;
    if (message.type === "close") open.delete(message.id);
    else if (message.type === "cancel") cancelled.add(message.id);
    else turn = turn.then(() => answers[message.type](message).forEach((answer) => queue.heard({ id: message.id, ...answer })));
  };
  const queue = new Queue({ ask, changed() {}, chosen() {}, budget: 16 });
  queue.add(sizes.map((megapixels, n) => ({ name: "abcdef"[n], megapixels, size: 1.5e6 * megapixels || 1000 })));
  return { queue, asked, open, told, states: () => queue.pictures.map(({ state }) => state) };
}

test("on a phone several pictures are worked on by themselves, and what is no photo is told", async () => {
  const { queue, states, open } = phone(0.4, 0.4, 0, 1.3);
  await tick();
  assert.deepEqual(states(), ["done", "done", "failed", "done"]);
  assert.equal(queue.selected.name, "a");
  assert.equal(open.size, 3, "what has room stays open");
});

test("beside the picture on the screen one is worked on at a time, and closed when done", async () => {
  const { queue, states, open, told, asked } = phone(12, 12, 16, 12);
  await tick();
  assert.deepEqual(states(), ["done", "done", "done", "done"]);
  assert.deepEqual([...open.keys()], [queue.selected.id]);
  assert.equal(told.most, 28);
  assert.deepEqual(asked.filter((words) => words.startsWith("close")), ["close b", "close c", "close d"]);
  assert.ok(queue.pictures.every(({ preview }) => preview), "their quick views are kept");
});

test("after one that was stopped the others go on", async () => {
  const { queue, states } = phone(12, 12);
  await once(() => queue.selected.state === "enhancing", () => queue.cancel(queue.selected));
  await tick();
  assert.deepEqual(states(), ["cancelled", "done"]);
});

test("what is too large to be worked on beside another waits, with its quick view, until it is chosen", async () => {
  const { queue, states, open, told } = phone(12, 30, 0.4);
  const [a, b, c] = queue.pictures;
  await tick();
  assert.deepEqual(states(), ["done", "waiting", "done"]);
  assert.deepEqual(queue.pictures.map((picture) => queue.resting(picture)), [false, true, false]);
  assert.ok(b.preview);
  assert.deepEqual([...open.keys()], [a.id, c.id]);
  queue.select(b);
  await tick();
  assert.equal(b.state, "done");
  assert.deepEqual([...open.keys()], [b.id]);
  assert.equal(told.most, 30);
});

test("what is chosen while it is put aside is worked on", async () => {
  const { queue, states } = phone(12, 30);
  const [, b] = queue.pictures;
  await once(() => b.state === "opening" && b.info, () => queue.select(b));
  await tick();
  assert.deepEqual(states(), ["done", "done"]);
});

test("a picture that waits for a file to be written goes on when it was", async () => {
  const { queue, states } = phone(12);
  await tick();
  const [a] = queue.pictures;
  queue.want(a);
  queue.add([{ name: "b", megapixels: 12, size: 18e6 }, { name: "c", megapixels: 12, size: 18e6 }]);
  await tick();
  assert.deepEqual(states(), ["done", "done", "waiting"]);
  queue.unwant(a);
  await tick();
  assert.deepEqual(states(), ["done", "done", "done"]);
});

test("for another number of passes the picture on the screen is worked on anew, by whoever has its file", async () => {
  for (const [place, wanted] of [["device", ["close a", "open a", "enhance a 2"]], ["computer", ["enhance a 2"]]]) {
    const { queue, states, asked } = phone(0.4, 0.4, 0, ...[place].filter((name) => name === "computer"));
    const [a, b] = queue.pictures;
    await tick();
    asked.length = 0;
    queue.rework({ passes: 2 });
    assert.equal(a.state === "done" || a.drawable, false, "there is nothing to draw before the light comes");
    await tick();
    assert.deepEqual(asked, wanted);
    assert.deepEqual(states(), ["done", "done", "failed"]);
    assert.ok(a.drawable);
    assert.equal(b.settings.passes, 1, "what is done stays as it is");
  }
});

test("another number of passes holds for those that wait, and for one that is under way on the screen", async () => {
  const { queue, asked } = phone(0.4, 0.4);
  const [a, b] = queue.pictures;
  await once(() => a.state === "enhancing", () => queue.rework({ passes: 4 }));
  await tick();
  assert.deepEqual([a, b].map(({ state, settings }) => [state, settings.passes]), [["done", 4], ["done", 4]]);
  assert.deepEqual(asked.filter((words) => words.startsWith("enhance")).slice(-2), ["enhance a 4", "enhance b 4"]);
});

test("work that was stopped begins again with another number of passes, and what failed does not", async () => {
  const { queue, states, asked } = phone(0.4, 0);
  const [a, failed] = queue.pictures;
  await once(() => a.state === "enhancing", () => queue.cancel(a));
  await tick();
  assert.equal(a.state, "cancelled");
  queue.rework({ passes: 2 });
  await tick();
  assert.equal(a.state, "done");
  assert.equal(asked.filter((words) => words === "open a").length, 1, "the file lies there still");
  queue.select(failed);
  queue.rework({ passes: 4 });
  await tick();
  assert.deepEqual(states(), ["done", "failed"]);
});

test("pictures are begun with as many passes as are wished, which is nothing to save", async () => {
  const queue = new Queue({ ask() {}, changed() {}, chosen() {}, work: () => ({ passes: 4, fringes: "remove" }), budget: 16 });
  queue.add([{ name: "a", size: 1 }]);
  assert.deepEqual(workOf(queue.selected.settings), { passes: 4, fringes: "remove" });
  assert.equal(queue.selected.unsaved, false);
  queue.selected.kept = keyOf("enhanced", START);
  assert.equal(queue.selected.unsaved, true, "the file has fewer");
});

test("no setting is forgotten by those who keep, draw or write a picture", async () => {
  const { saving, opened, done, pictures: [picture] } = world(1);
  opened(picture);
  done(picture);
  const drawn = [];
  const whole = { x: 0, y: 0, width: 4, height: 3, outWidth: 4, outHeight: 3 };
  const view = { whole, zoomed: false, lay() {}, dropDetail() {} };
  const renders = new Renders(view, (message) => drawn.push(message), { laid() {}, turned() {} });
  const draw = () => {
    renders.wish();
    for (const message of drawn.splice(0)) renders.rendered({ ...message, image: {} });
  };
  picture.drawable = true;
  renders.take(picture);
  draw();
  for (const [name, value] of Object.entries(OTHER)) {
    picture.settings = { ...START };
    picture.kept = keyOf("enhanced", picture.settings);
    assert.equal(picture.unsaved, false);
    draw();
    const file = await saving.written(picture);
    picture.settings = { ...START, [name]: value };
    assert.equal(picture.unsaved, true, name);
    assert.notEqual((await saving.written(picture)).key, file.key, name);
    renders.wish();
    assert.ok(drawn.some(({ which, settings }) => which === "enhanced" && settings[name] === value), name);
    const ofBoth = keyOf("traditional", picture.settings) !== keyOf("traditional", START);
    assert.equal(drawn.some(({ which }) => which === "traditional"), ofBoth, name);
    assert.equal(ofBoth, !["strength", "passes", "fringes"].includes(name), name);
    draw();
  }
});
