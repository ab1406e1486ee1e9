// Where each picture is worked on, on this device or on the computer that serves the page, and what moves when the user
// chooses another place or engine.

import { say } from "./screen/i18n.js";
import { hopeful } from "./screen/status.js";
import { Workers } from "./workers.js";

const $ = (id) => document.getElementById(id);

export class Places {
  /** `starts` and `heard` as of Workers. */
  constructor({ queue, controls, settings, starts, heard }) {
    Object.assign(this, { queue, controls, settings });
    const [find, placeFor] = [(id) => queue.find(id), (picture) => this.for(picture)];
    this.workers = new Workers({ find, placeFor, starts, heard });
    this.computer = null; // What the server's API said, where there is one,
    this.asked = false; // once it was asked.
  }

  /** What comes before it is known who is to work waits: `begin` asks again. */
  ask(message) {
    if (this.asked) this.workers.ask(message);
  }

  /** Where a picture goes, or one that is still to come. */
  for(picture = null) {
    return this.computer && (picture?.sentTo ?? this.settings.place) === "computer" ? "computer" : "device";
  }

  /** Where a picture is. */
  of(picture) {
    return (picture?.state === "waiting" ? null : picture?.by) ?? this.for(picture);
  }

  begin(computer) {
    this.computer = computer;
    this.asked = true;
    this.workers.at(this.for());
    this.show();
    this.queue.renew(this.queue.pictures.filter(({ working }) => working));
  }

  /** Say where the picture on the screen is worked on, and where the next will be. */
  show() {
    if (!this.asked) return;
    const place = this.of(this.queue.selected);
    this.controls.offer({ ownBalance: place === "device" });
    $("promise").textContent = say(this.for() === "computer" ? "promiseComputer" : "promiseDevice");
    $("where").hidden = !this.computer;
    $("where").dataset.place = place;
    $("where").textContent = say(place === "computer" ? "placeComputer" : "placeDevice");
  }

  /** The settings name another place: what is done stays where it is, what is not goes there if that may help. */
  change() {
    const { queue } = this;
    const place = this.for();
    this.workers.at(place);
    const others = queue.pictures.filter((picture) => picture.state !== "done" && (picture.by ?? place) !== place);
    const resting = others.filter((picture) => queue.resting(picture));
    const balance = queue.selected?.settings.wb;
    // What was done on this device is not sent either when it is opened again.
    for (const picture of queue.pictures) {
      picture.sentTo = picture.state === "done" && picture.by === "device" ? "device" : null;
      picture.settings.wb = this.balanceOf(picture);
    }
    const failed = ({ state, failure }) => state === "failed" && hopeful(failure.code);
    const moved = others.filter((picture) => picture.working || failed(picture) || resting.includes(picture));
    for (const picture of others) queue.release(picture);
    if (queue.selected && queue.selected.settings.wb !== balance) this.controls.put(queue.selected.settings);
    queue.renew(moved);
    this.show();
  }

  /** Another engine: what it had open on this device is opened again, the picture on the screen at once. */
  changeEngine() {
    const { queue } = this;
    const here = queue.pictures.filter(({ by }) => by === "device");
    this.workers.stop("device");
    if (this.for() === "device") this.workers.at("device");
    const again = (picture) => picture.working || (picture.state === "failed" && hopeful(picture.failure.code));
    const shown = (picture) => picture === queue.selected && picture.resident && picture.state === "done";
    const renewed = here.filter((picture) => again(picture) || shown(picture));
    for (const picture of here) queue.release(picture);
    queue.renew(renewed);
  }

  /** A picture's balance for whoever works on it: an own one with its gains, as the computer knows no temperatures. */
  balanceOf(picture) {
    const { settings: { wb }, balance } = picture;
    if (typeof wb === "string" || wb.gains || this.for(picture) !== "computer") return wb;
    const told = JSON.stringify(balance?.of) === JSON.stringify(wb);
    return told ? { ...wb, gains: balance.gains } : "camera";
  }
}
