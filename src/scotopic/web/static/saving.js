// Pictures as files: written by the worker once for the same settings, then saved or shared.

import { say } from "./i18n.js";
import { download, share } from "./outgoing.js";

export class Saving {
  /** `ask` sends to the worker, `say` shows a sentence, `quality()` is the JPEG quality that the user chose. */
  constructor({ queue, ask, say, quality }) {
    this.queue = queue;
    this.ask = ask;
    this.tell = say;
    this.quality = quality;
    this.waiting = new Map(); // Picture's number -> who waits for its file.
  }

  // ---- what the worker says

  saved(message) {
    this.waiting.get(message.id)?.resolve(message);
    this.waiting.delete(message.id);
  }

  /** A failure of a picture that is done: if it is being written, that is what failed. */
  failed(message) {
    if (message.serial !== undefined) return;
    this.waiting.get(message.id)?.reject(message);
    this.waiting.delete(message.id);
  }

  // ---- what the user wants

  /** The picture as a file {blob, name}, written anew only for other settings. */
  async written(picture, format = "jpg") {
    const wish = { settings: { ...picture.settings }, format, quality: this.quality() };
    const key = JSON.stringify(wish);
    if (picture.saved?.key === key) return picture.saved;
    this.tell(say("saving"));
    const answer = await new Promise((resolve, reject) => {
      this.waiting.set(picture.id, { resolve, reject });
      this.ask({ type: "save", id: picture.id, ...wish });
    });
    picture.saved = { key, blob: answer.blob, name: answer.name };
    return picture.saved;
  }

  /** Save it where the browser puts downloads; whether that went well. */
  async save(picture, format) {
    try {
      const { blob, name } = await this.written(picture, format);
      download(blob, name);
      this.tell(say("saved", { name }));
      return true;
    } catch (failure) {
      this.tell(say("saveFailed", { words: wordsOf(failure) }));
      return false;
    }
  }

  async share(picture) {
    try {
      const { blob, name } = await this.written(picture);
      if ((await share(blob, name)) === "late") this.tell(say("shareReady"));
    } catch (failure) {
      this.tell(say("shareFailed", { words: wordsOf(failure) }));
    }
  }

  /** Every picture in turn, whatever of them the memory holds. */
  async saveAll() {
    let count = 0;
    const all = [...this.queue.pictures];
    for (const picture of all) {
      if (!this.queue.pictures.includes(picture)) continue;
      if (picture !== this.queue.selected) this.queue.select(picture);
      if ((await this.queue.settled(picture)) === "done" && (await this.save(picture))) count += 1;
    }
    this.tell(count === all.length ? say("savedAll", { count }) : say("savedSome", { count, all: all.length }));
  }
}

const wordsOf = (failure) => failure.words ?? failure.message ?? "";
