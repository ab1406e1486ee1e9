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

const STATIC = "../../src/scotopic/web/static";
const { Queue } = await import(`${STATIC}/queue.js`);
const { Saving } = await import(`${STATIC}/saving.js`);

const tick = (ms = 10) => new Promise((heard) => setTimeout(heard, ms));

/** `count` pictures of 12 MP where there is room for one; the worker answers saves itself, the test all else. */
function world(count) {
  const open = new Set();
  const said = [];
  const queue = new Queue({ ask, changed() {}, chosen() {}, budget: 16 });
  const saving = new Saving({ queue, ask, say: (words) => said.push(words), quality: () => 90 });
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
  queue.add(Array.from({ length: count }, (_, n) => ({ name: `p${n}` })));
  const opened = ({ id }) => queue.heard({ type: "opened", id, info: { megapixels: 12 } });
  const done = ({ id }) => queue.heard({ type: "enhanced", id, seconds: 1 });
  return { queue, saving, said, opened, done, pictures: queue.pictures };
}

const ended = (promise) => Promise.race([promise.then(() => "ended"), tick(300).then(() => "waits for ever")]);

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
  await tick();
  if (first.working) {
    opened(first);
    done(first);
  }
  assert.equal(await ended(all), "ended");
  assert.match(said.at(-1), /2/);
  assert.ok(!said.some((words) => words.includes("no picture")), said.join("; "));
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
  for (let turn = 0; turn < 6; turn++) {
    await tick();
    for (const picture of [a, b, c]) {
      if (picture.state === "opening") opened(picture);
      if (picture.state === "enhancing") done(picture);
    }
  }
  assert.equal(await ended(all), "ended");
  assert.match(said.at(-1), /3/);
  assert.ok(pictures.every(({ wanted }) => wanted === 0));
});
