// The computer's work, against a server of few words: what is closed does not take what is opened anew with it.

import assert from "node:assert/strict";
import { test } from "node:test";

const { Computer } = await import("../../src/scotopic/web/static/computer.js");

const soon = () => new Promise((go) => setTimeout(go, 5));
const job = { id: "j", state: "done", name: "a.ARW", seconds: 1, facts: { ratio: 2 }, result: { name: "a.jpg" } };
const forgotten = []; // What answers the DELETEs that are under way.

globalThis.fetch = async (_url, { method } = {}) => {
  if (method === "DELETE") await new Promise((answered) => forgotten.push(answered));
  return { ok: true, status: 200, blob: async () => new Blob(["x"]), json: async () => job };
};
globalThis.createImageBitmap = async () => ({ width: 4, height: 3, close() {} });
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
  open() {}
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
  while (!told.some(({ type }) => type === "opened")) await soon();
  computer.ask({ type: "close", id: 1 });
  computer.ask({ type: "open", id: 1, file });
  while (told.filter(({ type }) => type === "opened").length < 2) await soon();
  assert.equal(forgotten.length, 1);
  forgotten[0]();
  await soon();
  assert.equal(computer.pictures.size, 1);
  computer.ask({ type: "enhance", id: 1 });
  await soon();
  assert.deepEqual(told.filter(({ type }) => type === "failed"), []);
  assert.equal(told.at(-1).type, "enhanced");
});
