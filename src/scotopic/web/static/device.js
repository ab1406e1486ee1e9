// This device does the work: the worker, and what becomes of it when it cannot be started.

import { ScotopicError } from "./errors.js";

/** A worker of one of the page's scripts. Throws `lacking` where the browser has no workers or lets none be started. */
export function newWorker(script) {
  try {
    return new Worker(new URL(script, import.meta.url), { type: "module" });
  } catch (error) {
    throw new ScotopicError("lacking", `${script}: ${error.message}`, { what: "workers" });
  }
}

export class Device {
  /** `heard` gets every message of the worker. */
  constructor({ engine, heard }) {
    this.heard = heard;
    this.engine = engine;
    this.open = new Set();
    this.start();
  }

  start() {
    this.here = false;
    let worker;
    try {
      worker = newWorker("worker.js");
    } catch (error) {
      this.lost(error);
      return;
    }
    this.worker = worker;
    // One that was stopped may still be heard of; the next one is not to pay for that.
    worker.addEventListener("message", (event) => {
      if (worker !== this.worker) return;
      this.here = true;
      this.heard(event.data);
    });
    // What the worker itself did not catch: the script is missing, or the browser gave up on it.
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      if (worker !== this.worker) return;
      this.stop();
      // Of an error in its script there are words; of one that did not come there are none.
      if (event.message) this.lost(new ScotopicError("engine", event.message));
      else this.lost(new ScotopicError("download", "worker.js: it could not be loaded"));
    });
    worker.postMessage({ type: "configure", base: new URL("./", import.meta.url).href, engine: this.engine });
  }

  /** Nobody works on what is open. It is told a little later, when who asked has done with asking. */
  lost({ code, message: words, facts }) {
    const ids = [...this.open];
    this.open.clear();
    queueMicrotask(() => {
      for (const id of ids) this.heard({ type: "failed", id, code, words, facts });
    });
  }

  ask(message) {
    const { type, id } = message;
    if (type === "open") {
      this.open.add(id);
      if (!this.worker) this.start();
    }
    if (type === "close") this.open.delete(id);
    if (type === "cancel" && this.worker && !this.here) {
      // Its script is still to come, and hears nothing: the next picture has it fetched anew.
      this.stop();
      this.open.delete(id);
      queueMicrotask(() => this.heard({ type: "cancelled", id, during: "open" }));
    }
    this.worker?.postMessage(message);
  }

  stop() {
    this.worker?.terminate();
    this.worker = null;
  }
}
