// Several pictures, one after another: which is open, which waits, which gives up its memory for the next.

import { keyOf, START, workOf } from "../choices.js";

// What may stay open at a time, in megapixels: a picture holds some 30 bytes a pixel in the worker. Beside the picture
// on the screen, whatever its size, one more may be worked on: of this size at most, and closed again when done.
const BUDGET_DESKTOP = 60;
const BUDGET_SMALL = 16;

// Of a file not opened yet: cameras' files take 1 byte a pixel (compressed) to 2.
const BYTES_A_PIXEL = 1.5;

// Of the computer's work finished pictures alone lie here, two of 4 bytes a pixel.
const COMPUTERS_SHARE = 0.25;

let counted = 0;

/** One file's way: waiting, opening, enhancing, done, failed or cancelled. */
export class Picture {
  constructor(file, work = {}) {
    this.id = ++counted;
    this.file = file;
    this.name = file.name;
    this.state = "waiting";
    this.resident = false; // Open in the worker.
    this.drawable = false; // The worker has light to draw from, so that sliders answer.
    this.enhanced = false;
    this.info = null;
    this.fringed = false; // Whether its lens has drawn red and blue beside green, as was told last.
    this.preview = null;
    this.failure = null;
    this.thumb = null;
    this.share = 0;
    this.stage = "waiting";
    this.settings = { ...START, ...work };
    this.saved = null; // {key, blob, name} of the last JPEG written.
    this.kept = ""; // The key of the settings with which it was saved or shared last.
    this.wanted = 0; // How many wait for a file of it: it is not closed, and begun even where there is little room.
    this.place = null;
    this.by = null; // Where it was opened last, "device" or "computer",
    this.sentTo = null; // and where it is to be, whatever the settings say.
  }

  /** Whether something would be lost with the page that no file has: work that is done, or settings. */
  get unsaved() {
    // What the network is to work by is kept for the next picture, and is nothing to lose until it has.
    const begun = keyOf("enhanced", workOf(this.settings));
    return keyOf("enhanced", this.settings) !== (this.kept || begun) || (this.state === "done" && !this.kept);
  }

  get working() {
    return this.state === "opening" || this.state === "enhancing";
  }

  /** Megapixels of light that it takes while it is open, guessed until the file was opened. */
  get room() {
    const megapixels = this.info?.megapixels ?? this.file.size / BYTES_A_PIXEL / 1e6;
    return this.by === "computer" ? megapixels * COMPUTERS_SHARE : megapixels;
  }
}

/** How much this device may hold; phones say little, so the small budget is for all of them. */
export function budgetOf(browser = navigator) {
  const small = (browser.deviceMemory ?? 8) <= 4 || /iPhone|iPad|Android/.test(browser.userAgent)
    || (browser.maxTouchPoints > 1 && /Macintosh/.test(browser.userAgent));
  return small ? BUDGET_SMALL : BUDGET_DESKTOP;
}

export class Queue {
  /** `ask` sends to the worker, `changed` hears of every change of a picture, `chosen` of another selection; `work()`
   * says by what the network is to work on pictures that are added. */
  constructor({ ask, changed, chosen, work, budget = budgetOf() }) {
    this.ask = ask;
    this.work = work;
    this.changed = changed;
    this.chosen = chosen;
    this.budget = budget;
    this.pictures = [];
    this.selected = null;
    this.waits = [];
  }

  find(id) {
    return this.pictures.find((picture) => picture.id === id);
  }

  get active() {
    return this.pictures.find((picture) => picture.working);
  }

  /** Add files at the end; the first of them is shown. */
  add(files) {
    const added = files.map((file) => new Picture(file, this.work?.()));
    this.pictures.push(...added);
    if (added.length) this.select(added[0]);
  }

  select(picture) {
    this.selected = picture;
    if (picture && picture.state === "done" && !picture.resident) this.restart(picture);
    this.chosen(picture);
    this.run();
  }

  step(by) {
    const at = this.pictures.indexOf(this.selected);
    const next = this.pictures[at + by];
    if (next) this.select(next);
  }

  remove(picture) {
    const at = this.pictures.indexOf(picture);
    if (at < 0) return;
    this.release(picture);
    this.pictures.splice(at, 1);
    this.tell(picture, "removed");
    if (picture === this.selected) this.select(this.pictures[at] ?? this.pictures[at - 1] ?? null);
    else this.run();
    this.changed(picture);
  }

  /** Begin anew: with what is open, or from the file. */
  restart(picture) {
    Object.assign(picture, { state: "waiting", stage: "waiting", failure: null, enhanced: false, share: 0 });
    this.changed(picture);
    this.run();
  }

  /** Begin anew from the file with all of these, as another works on them from now on. */
  renew(pictures) {
    for (const picture of pictures) {
      this.release(picture);
      Object.assign(picture, { state: "waiting", stage: "waiting", failure: null, enhanced: false, share: 0 });
      Object.assign(picture, { info: null, cancelling: false });
      this.changed(picture);
    }
    if (pictures.includes(this.selected)) this.select(this.selected);
    else this.run();
  }

  /**
   * The network is to work so on the picture on the screen, which is worked on anew, and on those that wait; others stay as
   * they are.
   */
  rework(work) {
    const { selected } = this;
    for (const picture of this.pictures)
      if (picture === selected || picture.state === "waiting") picture.settings = { ...picture.settings, ...work };
    // This device has given up the file's counts for the light; the computer has the file still.
    const spent = selected.enhanced && selected.by !== "computer";
    if (selected.working || (selected.resident && spent)) this.renew([selected]);
    else if (selected.resident) {
      selected.drawable &&= !selected.enhanced;
      this.restart(selected);
    }
  }

  cancel(picture) {
    if (!picture.working) return;
    picture.cancelling = true;
    this.ask({ type: "cancel", id: picture.id });
    this.changed(picture);
  }

  release(picture) {
    if (picture.resident || picture.working) this.ask({ type: "close", id: picture.id });
    picture.resident = picture.drawable = false;
  }

  /** Whether a picture, once it was opened, is too large to be worked on before it is chosen. */
  resting(picture) {
    return picture.state === "waiting" && !this.fits(picture);
  }

  fits(picture) {
    return picture === this.selected || picture.wanted > 0 || !picture.info || picture.room <= this.budget;
  }

  /** Start the next picture if none is under way and there is room for it. */
  run() {
    if (this.active) return;
    const waiting = this.pictures.filter((picture) => picture.state === "waiting" && this.fits(picture));
    const next = waiting.find((picture) => picture === this.selected) ?? waiting[0];
    if (!next || !this.makeRoom(next)) return;
    next.cancelling = false;
    next.state = next.resident ? "enhancing" : "opening";
    next.stage = next.resident ? "network" : "opening";
    if (next.resident) this.ask({ type: "enhance", id: next.id, settings: next.settings });
    else this.ask({ type: "open", id: next.id, file: next.file, settings: next.settings });
    // Once it is asked, it is known where.
    this.changed(next);
  }

  /**
   * Close what was finished longest ago until there is room for the next, or for what is open alone. False where
   * the next has to wait for a file that is being written.
   */
  makeRoom(next = null) {
    const open = () => this.pictures.filter((picture) => picture.resident && picture !== next);
    const held = () => open().reduce((sum, picture) => sum + picture.room, next?.room ?? 0);
    while (held() > this.budget) {
      const others = open().filter((picture) => picture !== this.selected);
      if (!others.length) return true;
      const oldest = others.find((picture) => !picture.wanted);
      if (!oldest) return next === this.selected || next?.wanted > 0;
      this.release(oldest);
    }
    return true;
  }

  /** Somebody waits for a picture's file: it is kept open until as many have had theirs. */
  want(picture) {
    picture.wanted += 1;
  }

  unwant(picture) {
    picture.wanted -= 1;
    this.run();
  }

  /** What the worker says about a picture. */
  heard(message) {
    const picture = this.find(message.id);
    if (!picture) return;
    switch (message.type) {
      case "opened":
        picture.resident = true;
        picture.info = message.info;
        if (picture.cancelling) {
          Object.assign(picture, { state: "cancelled", cancelling: false });
          break;
        }
        this.makeRoom(picture);
        if (!this.fits(picture)) {
          // Its quick view is still to come.
          this.ask({ type: "rest", id: picture.id });
          break;
        }
        picture.state = "enhancing";
        picture.stage = "network";
        this.ask({ type: "enhance", id: picture.id, settings: picture.settings });
        break;
      case "preview":
        picture.preview = message.image;
        picture.drawable = true;
        break;
      case "progress":
        picture.share = message.share;
        picture.stage = message.stage;
        picture.megabytes = message.megabytes ?? null;
        break;
      case "enhanced":
        Object.assign(picture, {
          state: "done", enhanced: true, drawable: true, cancelling: false, share: 1, seconds: message.seconds,
          engine: message.engine,
        });
        this.makeRoom();
        break;
      case "rested":
        // One that was chosen meanwhile may have been cancelled already.
        if (picture.working) picture.state = picture.cancelling ? "cancelled" : "waiting";
        Object.assign(picture, { resident: false, drawable: false, stage: "waiting", cancelling: false });
        break;
      case "cancelled":
        // What comes late, for a picture that was taken up again, is not meant.
        if (!picture.working || !picture.cancelling || message.during === "save") break;
        picture.state = "cancelled";
        picture.cancelling = false;
        break;
      case "failed":
        if (["save", "render"].includes(message.during)) break; // The picture itself is well.
        if (picture.state === "failed") break; // What follows from the first failure tells less.
        picture.state = "failed";
        picture.failure = { code: message.code, words: message.words, facts: message.facts ?? {} };
        this.release(picture);
        break;
    }
    this.changed(picture);
    if (!picture.working) {
      this.tell(picture, picture.state);
      this.run();
    }
  }

  /** Resolves with the state once the picture is done, failed, cancelled or removed. */
  settled(picture) {
    if (["done", "failed", "cancelled"].includes(picture.state) && (picture.resident || picture.state !== "done")) {
      return Promise.resolve(picture.state);
    }
    return new Promise((resolve) => this.waits.push({ picture, resolve }));
  }

  tell(picture, state) {
    if (!["done", "failed", "cancelled", "removed"].includes(state)) return;
    for (const wait of this.waits.filter((wait) => wait.picture === picture)) wait.resolve(state);
    this.waits = this.waits.filter((wait) => wait.picture !== picture);
  }
}
