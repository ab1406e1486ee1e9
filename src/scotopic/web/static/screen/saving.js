// Pictures as files: written by the worker once for the same settings, then saved or shared.

import { keyOf } from "../choices.js";
import { download, share } from "./outgoing.js";

export class Saving {
  /** `ask` sends to the worker, `tell(key, values)` shows a sentence, `quality()` is the JPEG quality that the user
   * chose, `place(picture)` says who works on it: their files of the same settings are not the same bytes. */
  constructor({ queue, ask, tell, quality, place = () => "device" }) {
    this.queue = queue;
    this.ask = ask;
    this.tell = tell;
    this.quality = quality;
    this.place = place;
    this.waiting = new Map(); // Picture's number -> who waits for its file.
    this.under = new Map(); // Picture's number -> {key, file, stops} of what is being written.
    this.stops = new WeakMap(); // Picture -> how often the writing of its files was stopped.
    this.alls = 0; // How often "Save all" is under way.
  }

  /** Whether files are being written, of this picture or of any. */
  busy(picture = null) {
    return picture ? this.under.has(picture.id) : this.under.size > 0 || this.alls > 0;
  }

  /** No longer write a picture's files: the one under way, and those that wait for it. */
  cancel(picture) {
    this.stops.set(picture, this.stopsOf(picture) + 1);
    this.ask({ type: "cancel", id: picture.id });
  }

  stopsOf(picture) {
    return this.stops.get(picture) ?? 0;
  }

  /** Ends a wait: every one ends, whatever becomes of the picture or of who works on it. */
  end(id, how, value) {
    this.waiting.get(id)?.[how](value);
    this.waiting.delete(id);
  }

  // ---- what the worker says

  saved(message) {
    this.end(message.id, "resolve", message);
  }

  failed(message) {
    this.end(message.id, "reject", message);
  }

  /** The picture was closed, or its file is no longer wanted. */
  stopped(id) {
    this.end(id, "reject", new Stopped());
  }

  // ---- what the user wants

  /** The picture as a file {blob, name}, written anew only for other settings. */
  async written(picture, format = "jpg") {
    const wish = { settings: { ...picture.settings }, format, quality: this.quality() };
    const key = JSON.stringify({ place: this.place(picture), ...wish });
    if (picture.saved?.key === key) return picture.saved;
    const before = this.under.get(picture.id);
    const stops = this.stopsOf(picture);
    if (before?.key === key && before.stops === stops) return before.file;
    // One file of a picture at a time: an answer says of which picture it is, not of which wish.
    const file = Promise.resolve(before?.file).catch(() => {}).then(() => {
      if (this.stopsOf(picture) !== stops) throw new Stopped();
      return this.write(picture, wish, key);
    });
    this.under.set(picture.id, { key, file, stops });
    Object.assign(picture, { stage: "encode", share: 0 });
    this.queue.want(picture);
    this.queue.changed(picture);
    const over = () => {
      if (this.under.get(picture.id)?.file === file) this.under.delete(picture.id);
      this.queue.unwant(picture);
      this.queue.changed(picture);
    };
    file.then(over, over);
    return file;
  }

  async write(picture, wish, key) {
    // Closed while another file of it was written, or with whoever had it open.
    if (!picture.resident) throw new Stopped();
    this.tell("saving");
    const answer = await new Promise((resolve, reject) => {
      this.waiting.set(picture.id, { resolve, reject });
      this.ask({ type: "save", id: picture.id, ...wish });
    });
    picture.saved = { key, blob: answer.blob, name: answer.name, settings: wish.settings };
    return picture.saved;
  }

  /** Save it where the browser puts downloads; whether that went well. */
  async save(picture, format) {
    try {
      const { blob, name, settings } = await this.written(picture, format);
      download(blob, name);
      picture.kept = keyOf("enhanced", settings);
      this.tell("saved", { name });
      return true;
    } catch (failure) {
      this.failedTo("saveFailed", failure);
      return false;
    }
  }

  async share(picture) {
    try {
      const { blob, name, settings } = await this.written(picture);
      const how = await share(blob, name);
      if (how === "shared") picture.kept = keyOf("enhanced", settings);
      if (how === "late") this.tell("shareReady");
    } catch (failure) {
      this.failedTo("shareFailed", failure);
    }
  }

  failedTo(key, failure) {
    if (failure instanceof Stopped) this.tell("saveStopped");
    // Of a failure to reach the computer the browser's own words say nothing: the page has some.
    else if (failure.code === "network") this.tell(key, { of: "failedNetworkTitle" });
    else this.tell(key, { words: failure.words ?? failure.message ?? "" });
  }

  /** Every picture in turn, whatever of them the memory holds. */
  async saveAll() {
    let count = 0;
    this.alls += 1;
    const all = [...this.queue.pictures];
    for (const picture of all) {
      if (!this.queue.pictures.includes(picture)) continue;
      this.queue.want(picture);
      if (picture !== this.queue.selected) this.queue.select(picture);
      if ((await this.queue.settled(picture)) === "done" && (await this.save(picture))) count += 1;
      this.queue.unwant(picture);
    }
    this.alls -= 1;
    if (count === all.length) this.tell("savedAll", { count });
    else this.tell("savedSome", { count, all: all.length });
  }
}

class Stopped extends Error {}
