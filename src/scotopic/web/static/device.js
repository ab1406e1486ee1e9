// This device does the work: the worker, and what becomes of it when it cannot be started.

export class Device {
  /** `heard` gets every message of the worker. */
  constructor({ engine, heard }) {
    this.heard = heard;
    this.engine = engine;
    this.open = new Set();
    this.start();
  }

  start() {
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.addEventListener("message", (event) => this.heard(event.data));
    // What the worker itself did not catch: the script is missing, or the browser gave up on it.
    this.worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.stop();
      const lost = [...this.open];
      this.open.clear();
      const words = event.message || "the worker could not be started";
      for (const id of lost) this.heard({ type: "failed", id, code: "engine", words, facts: {} });
    });
    this.worker.postMessage({ type: "configure", base: new URL("./", import.meta.url).href, engine: this.engine });
  }

  ask(message) {
    if (message.type === "open") {
      this.open.add(message.id);
      if (!this.worker) this.start();
    }
    if (message.type === "close") this.open.delete(message.id);
    this.worker?.postMessage(message);
  }

  stop() {
    this.worker?.terminate();
    this.worker = null;
  }
}
