// The computer that serves the page does the work, over its HTTP API. Speaks the worker's protocol, so that
// the rest of the page need not know who works: 'open' sends the file and answers when the picture is done.

import { keyOf, START, workOf } from "./choices.js";
import { readable } from "./file.js";

const OVER = ["done", "failed", "cancelled"];
const FOUND_MS = 3000; // Who says nothing for so long is no computer of the user's, and the page begins without.
const TRIES = 4; // The browser tries to take up broken events every three seconds or so.

/** What the server's API says of itself; null where the page comes from a host without one. */
export async function findComputer() {
  try {
    const signal = AbortSignal.timeout(FOUND_MS);
    const answer = await fetch("api/status", { headers: { accept: "application/json" }, signal });
    if (answer.status !== 200) return null;
    const status = await answer.json();
    return status.waiting_max > 0 ? status : null; // A static site answers {}.
  } catch {
    return null;
  }
}

export class Computer {
  /** `heard` gets every message, `quality()` is the JPEG quality that the user chose. */
  constructor({ heard, quality }) {
    this.heard = heard;
    this.quality = quality;
    this.pictures = new Map(); // id -> {job, ev, results: {enhanced: {key, quality, bitmap, blob, name}, traditional}}
    this.heard({ type: "ready", engine: "computer", threads: 0 });
  }

  ask(message) {
    const work = { open: this.open, enhance: this.enhance, rest: this.rest, render: this.render, save: this.save, cancel: this.cancel, close: this.close };
    const working = work[message.type]?.call(this, message);
    const picture = this.pictures.get(message.id);
    working?.catch((error) => this.fail(message, error, picture));
  }

  stop() {
    this.heard = () => {}; // Another works on the pictures from now on.
    for (const id of [...this.pictures.keys()]) this.ask({ type: "close", id });
  }

  fail({ id, serial, type }, error, picture) {
    const stopped = error instanceof Stopped || picture?.stopped;
    if (stopped && serial === undefined) this.heard({ type: "cancelled", id, during: type });
    else {
      const words = String(error.message ?? error);
      this.heard({ type: "failed", id, serial, during: type, code: error.code ?? "network", words, facts: {} });
    }
  }

  async open({ id, file, settings }) {
    const picture = { results: {}, jobs: new Set(), ev: 0 };
    this.pictures.set(id, picture);
    const go = () => {
      if (picture.stopped) throw new Stopped();
    };
    await readable(file.slice(0, 1)); // Of a file that is gone the upload would say that the computer is.
    go();
    const quality = this.quality();
    const work = workOf(settings);
    const query = new URLSearchParams({ name: file.name, format: "jpg", quality, ...work });
    const job = await this.upload(`api/enhance?${query}`, file, picture, (share) => {
      this.heard({ type: "progress", id, share, stage: "upload" });
    });
    picture.job = job.id;
    const done = await this.follow(picture, job, { told: (now) => this.tell(id, now) });
    const { facts } = done;
    picture.ev = Number(facts.ev ?? Math.log2(facts.ratio ?? 1));
    go();
    const result = await this.fetched(done);
    go();
    picture.results.enhanced = { ...result, quality, key: keyOf("enhanced", work) };
    const { width, height } = result.bitmap;
    picture.opened = true;
    this.heard({
      type: "opened", id,
      info: {
        name: done.name, make: facts.make, model: facts.camera, iso: facts.iso, exposure_s: facts.exposure_s,
        width, height, ratio: facts.ratio, ev: picture.ev, megapixels: (width * height) / 1e6, dng: true,
        lateral: Boolean(facts.lateral_colour),
      },
    });
  }

  async enhance({ id, settings }) {
    const picture = this.pictures.get(id);
    picture.writing = new AbortController();
    const how = { told: (job) => this.tell(id, job), signal: picture.writing.signal };
    const { seconds } = await this.result(picture, "enhanced", settings, how);
    if (this.pictures.get(id) === picture) this.heard({ type: "enhanced", id, engine: "computer", seconds });
  }

  async render({ id, which, settings, view, outWidth, outHeight, serial }) {
    const picture = this.pictures.get(id);
    const result = await this.result(picture, which, settings);
    if (this.pictures.get(id) !== picture) return;
    const canvas = document.createElement("canvas");
    canvas.width = outWidth;
    canvas.height = outHeight;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(result.bitmap, view.x, view.y, view.width, view.height, 0, 0, outWidth, outHeight);
    this.heard({ type: "rendered", id, which, serial, image: canvas });
  }

  async save({ id, settings, format, quality }) {
    const picture = this.pictures.get(id);
    picture.writing = new AbortController();
    const how = { told: (job) => this.tell(id, job), signal: picture.writing.signal };
    if (format === "jpg") {
      const { blob, name } = await this.result(picture, "enhanced", settings, { quality, ...how });
      this.heard({ type: "saved", id, blob, name });
      return;
    }
    const done = await this.again(picture, queryOf(picture, "enhanced", settings, format), how);
    const { blob, name } = await this.downloaded(done);
    this.heard({ type: "saved", id, blob, name });
  }

  /** Of a picture that is open what is done anew, or the file that is being written, is given up, and nothing else. */
  async cancel({ id }) {
    const picture = this.pictures.get(id);
    if (picture?.opened) picture.writing?.abort();
    else if (picture) await this.giveUp(picture);
  }

  async giveUp(picture) {
    picture.stopped = true;
    picture.upload?.abort();
    picture.events?.forEach((stop) => stop());
    await Promise.all([...picture.jobs].map(forget));
  }

  async rest({ id }) {
    await this.close({ id });
    this.heard({ type: "rested", id });
  }

  async close({ id }) {
    const picture = this.pictures.get(id);
    if (!picture) return;
    // Now: while the computer is told of it, the picture may be opened anew.
    this.pictures.delete(id);
    await this.giveUp(picture);
    for (const result of Object.values(picture.results)) result.bitmap?.close();
  }

  // ---- one job

  /** The picture with these settings, and of this quality if one is given: as it lies here, or worked out again from
   * the same upload. */
  async result(picture, which, settings, { quality = null, ...how } = {}) {
    const key = keyOf(which, settings);
    const kept = picture.results[which];
    if (kept?.key === key && (quality === null || kept.quality === quality)) return kept;
    const asked = quality ?? this.quality();
    const query = queryOf(picture, which, settings, "jpg");
    query.set("quality", asked);
    const fresh = await this.fetched(await this.again(picture, query, how));
    picture.results[which]?.bitmap.close();
    picture.results[which] = { ...fresh, quality: asked, key };
    return picture.results[which];
  }

  async again(picture, query, how) {
    const answer = await fetch(`api/jobs/${picture.job}/again?${query}`, { method: "POST" });
    const job = await checked(answer);
    const done = await this.follow(picture, job, how);
    return done;
  }

  /** POST with progress, which fetch does not give. */
  upload(url, file, picture, told) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      picture.upload = request;
      request.open("POST", url);
      request.setRequestHeader("content-type", "application/octet-stream");
      request.responseType = "json";
      request.upload.addEventListener("progress", (event) => told(event.loaded / Math.max(1, event.total)));
      request.addEventListener("abort", () => reject(new Stopped()));
      request.addEventListener("error", () => reject(new Error("no answer")));
      request.addEventListener("load", () => {
        if (request.status < 300) resolve(request.response);
        else reject(refused(request.status, request.response));
      });
      request.send(file);
    });
  }

  /** Resolves with the job when it is done; rejects with why it is not. */
  follow(picture, job, { told = () => {}, signal = null }) {
    picture.jobs.add(job.id);
    picture.events ??= new Set();
    return new Promise((resolve, reject) => {
      const source = new EventSource(`api/jobs/${job.id}/events`);
      const end = (settle, value) => {
        source.close();
        picture.events.delete(stop);
        settle(value);
      };
      const stop = () => end(reject, new Stopped());
      picture.events.add(stop);
      const aborted = () => {
        forget(job.id);
        stop();
      };
      if (signal?.aborted) aborted();
      else signal?.addEventListener("abort", aborted);
      source.addEventListener("job", (event) => {
        const now = JSON.parse(event.data);
        if (!OVER.includes(now.state)) told(now);
        else if (now.state === "done") end(resolve, now);
        else if (now.state === "cancelled") end(reject, new Refused("network", "the computer gave it up"));
        else end(reject, new Refused(now.error?.code ?? "internal", now.error?.words ?? ""));
      });
      // A connection that broke is taken up again by the browser, for a while; a refusal is final.
      let broken = 0;
      source.addEventListener("open", () => (broken = 0));
      source.addEventListener("error", () => {
        broken += 1;
        if (source.readyState === EventSource.CLOSED || broken >= TRIES) end(reject, new Error("no answer"));
      });
    });
  }

  tell(id, job) {
    const stage = job.state === "waiting" ? "queue" : job.stage || "read";
    this.heard({ type: "progress", id, share: job.share, stage });
  }

  async downloaded(done) {
    const answer = await fetch(`api/jobs/${done.id}/result`);
    if (!answer.ok) await checked(answer);
    return { blob: await answer.blob(), name: done.result.name };
  }

  async fetched(done) {
    const { blob, name } = await this.downloaded(done);
    return { blob, name, bitmap: await createImageBitmap(blob), seconds: done.seconds };
  }
}

/** Cancels a job. A computer that is gone has forgotten it already. */
const forget = (job) => fetch(`api/jobs/${job}`, { method: "DELETE" }).catch(() => {});

class Stopped extends Error {}

class Refused extends Error {
  constructor(code, words) {
    super(words);
    this.code = code;
  }
}

function refused(status, body) {
  const own = { 413: "too-large", 429: "busy", 404: "network" }[status];
  return new Refused(own ?? body?.error?.code ?? "internal", body?.error?.words ?? `HTTP ${status}`);
}

async function checked(answer) {
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw refused(answer.status, body);
  return body;
}

function queryOf(picture, which, settings, format) {
  const { ev, strength, wb } = { ...START, ...settings };
  const query = new URLSearchParams({ format, ev: String(picture.ev + ev) });
  // Of an own balance the computer takes the gains that this device worked out.
  query.set("wb", wb.gains ? wb.gains.map((gain) => gain.toPrecision(9)).join() : wb);
  // The plain demosaic in LibRaw's curve is what a traditional development shows, at the same brightness.
  if (which === "traditional") query.set("look", "libraw");
  query.set("strength", which === "traditional" ? "0" : String(strength));
  if (which === "enhanced") for (const [name, value] of Object.entries(workOf(settings))) query.set(name, value);
  return query;
}
