// This device does the work: the worker, and what becomes of it when it cannot be started.

export class Device {
  /** `heard` gets every message of the worker. */
  constructor({ engine, heard }) {
    this.heard = heard;
    this.open = new Set();
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.addEventListener("message", (event) => this.heard(event.data));
    // What the worker itself did not catch: the script is missing, or the browser gave up on it.
    this.worker.addEventListener("error", (event) => {
      event.preventDefault();
      for (const id of this.open) {
        this.heard({ type: "failed", id, code: "engine", words: event.message || "the worker could not be started", facts: {} });
      }
      this.open.clear();
    });
    this.ask({ type: "configure", base: new URL("./", import.meta.url).href, engine });
  }

  ask(message) {
    if (message.type === "open") this.open.add(message.id);
    if (message.type === "close") this.open.delete(message.id);
    this.worker.postMessage(message);
  }

  stop() {
    this.worker.terminate();
  }
}
