// The computer's work, against a server of few words: what is closed does not take what is opened anew with it, and
// every setting is asked of it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { OTHER } from "./other-settings.mjs";

const { START } = await import("../../src/scotopic/web/static/choices.js");
const { Computer } = await import("../../src/scotopic/web/static/computer.js");

const soon = () => new Promise((go) => setTimeout(go, 5));
const until = async (so) => {
  for (let turns = 0; !so(); turns++) {
    assert.ok(turns < 400, `never came: ${so}`);
    await soon();
  }
};
const job = { id: "j", state: "done", name: "a.ARW", seconds: 1, facts: { ratio: 2 }, result: { name: "a.jpg" } };
const forgotten = []; // What answers the DELETEs that are under way.

const asked = []; // Of which addresses more was asked.

globalThis.fetch = async (url, { method } = {}) => {
  if (method === "POST") asked.push(url);
  if (method === "DELETE") await new Promise((answered) => forgotten.push(answered));
  return { ok: true, status: 200, blob: async () => new Blob(["x"]), json: async () => job };
};
globalThis.createImageBitmap = async () => ({ width: 4, height: 3, close() {} });
globalThis.document = { createElement: () => ({ getContext: () => ({ drawImage() {} }) }) };
globalThis.EventSource = class extends EventTarget {
  constructor() {
    super();
    const event = Object.assign(new Event("job"), { data: JSON.stringify(job) });
    setTimeout(() => this.dispatchEvent(event));
  }
  close() {}
};
globalThis.XMLHttpRequest = class extends EventTarget {
  upload = new EventTarget();
  status = 202;
  response = job;
  open(_method, url) {
    asked.push(url);
  }
  setRequestHeader() {}
  send() {
    setTimeout(() => this.dispatchEvent(new Event("load")));
  }
  abort() {}
};

test("a picture that is opened anew before the computer has forgotten it stays open", async () => {
  const told = [];
  const computer = new Computer({ heard: (message) => told.push(message), quality: () => 95 });
  const file = new File(["raw"], "a.ARW");
  computer.ask({ type: "open", id: 1, file });
  await until(() => told.some(({ type }) => type === "opened"));
  computer.ask({ type: "close", id: 1 });
  computer.ask({ type: "open", id: 1, file });
  await until(() => told.filter(({ type }) => type === "opened").length >= 2);
  assert.equal(forgotten.length, 1);
  forgotten[0]();
  await soon();
  assert.equal(computer.pictures.size, 1);
  computer.ask({ type: "enhance", id: 1 });
  await soon();
  assert.deepEqual(told.filter(({ type }) => type === "failed"), []);
  assert.equal(told.at(-1).type, "enhanced");
});

test("every setting is asked of the computer, at once or for what is open, and the same is not asked twice", async () => {
  const told = [];
  const computer = new Computer({ heard: (message) => told.push(message), quality: () => 95 });
  const answers = async (type, count) => {
    await until(() => told.filter((message) => message.type === type).length >= count);
  };
  asked.length = 0;
  computer.ask({ type: "open", id: 1, file: new File(["raw"], "a.ARW"), settings: { ...START, passes: 4 } });
  await answers("opened", 1);
  assert.match(asked[0], /passes=4/);
  computer.ask({ type: "enhance", id: 1, settings: { ...START, passes: 4 } });
  await answers("enhanced", 1);
  assert.equal(asked.length, 1);
  computer.ask({ type: "enhance", id: 1, settings: START });
  await answers("enhanced", 2);
  const queries = asked.slice(1);
  const view = { x: 0, y: 0, width: 4, height: 3 };
  let drawn = 0;
  for (const which of ["enhanced", "traditional"])
    for (const settings of [START, ...Object.entries(OTHER).map(([name, value]) => ({ ...START, [name]: value }))]) {
      const before = asked.length;
      computer.ask({ type: "render", id: 1, which, settings, view, outWidth: 4, outHeight: 3, serial: ++drawn });
      await answers("rendered", drawn);
      queries.push(...asked.slice(before));
    }
  const enhanced = queries.filter((url) => !url.includes("look=libraw"));
  assert.equal(new Set(enhanced).size, 1 + Object.keys(OTHER).length, queries.join("\n"));
  assert.equal(enhanced.length, new Set(enhanced).size);
  assert.ok(queries.filter((url) => url.includes("look=libraw")).every((url) => !/passes|fringes/.test(url)));
});

test("what is done anew can be stopped, and is done when it is asked again", async () => {
  const told = [];
  const computer = new Computer({ heard: (message) => told.push(message.type), quality: () => 95 });
  computer.ask({ type: "open", id: 1, file: new File(["raw"], "a.ARW"), settings: START });
  await until(() => told.includes("opened"));
  computer.ask({ type: "enhance", id: 1, settings: { ...START, passes: 2 } });
  computer.ask({ type: "cancel", id: 1 });
  await until(() => told.includes("cancelled"));
  assert.ok(!told.includes("enhanced"));
  computer.ask({ type: "enhance", id: 1, settings: { ...START, passes: 2 } });
  await until(() => told.includes("enhanced"));
  assert.ok(!told.includes("failed"));
});
