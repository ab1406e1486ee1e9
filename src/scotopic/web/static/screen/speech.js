// What is said to those who do not see the screen: by one region, each thing once, of every picture.

import { number, put, say } from "./i18n.js";
import { failureWords, stateWords } from "./status.js";

const TOGETHER_MS = 150; // What comes within this is said together.
const APART_MS = 1500; // Orca missed words that were replaced within a second.
const ZOOM_REST_MS = 500; // How long a zoom rests before it is said.

export class Speech {
  constructor(region, queue) {
    this.region = region;
    this.queue = queue;
    this.coming = [];
    this.ended = 0; // Pictures that came to their end since all of them had.
    this.chosen = null;
  }

  /** Say a sentence, or what an element holds. */
  say(words) {
    this.coming.push(words);
    this.timer ??= setTimeout(() => this.speak(), TOGETHER_MS);
  }

  speak() {
    this.timer = null;
    if (!this.coming.length) return;
    const paragraphs = this.coming.splice(0).map((said) => {
      const paragraph = document.createElement("p");
      paragraph.append(said);
      return paragraph;
    });
    this.region.replaceChildren(...paragraphs);
    this.timer = setTimeout(() => this.speak(), APART_MS);
  }

  /** Say a sentence by its key. */
  told(key, values) {
    this.say(put(document.createElement("span"), key, values));
  }

  /** A picture came into another state. */
  became(picture) {
    const { name, state } = picture;
    if (state === "enhancing" && picture === this.queue.selected) this.say(`${name}: ${say("stageNetwork")}`);
    if (state === "cancelled") this.say(`${name}: ${say("stateCancelled")}`);
    if (state === "done") this.say(`${name}: ${say("doneIn", { seconds: number(picture.seconds ?? 0, 1) })}`);
    if (state === "failed") {
      const { title, words } = failureWords(picture.failure);
      this.say(say("saidFailed", { name, title }));
      if (picture === this.queue.selected) this.say(words);
    }
    this.through(["done", "failed"].includes(state));
  }

  /** Where the last of several came to its end, say how many are done. */
  through(ended) {
    const { queue } = this;
    const { pictures } = queue;
    this.ended += ended;
    const under = (picture) => picture.working || (picture.state === "waiting" && !queue.resting(picture));
    if (pictures.some(under)) return;
    const several = this.ended > 1 && pictures.length > 1;
    this.ended = 0;
    if (!several) return;
    const count = (state) => pictures.filter((picture) => picture.state === state).length;
    const [done, failed] = [count("done"), count("failed")];
    const all = pictures.length;
    const finished = done === all ? say("saidAll", { all }) : say("saidSome", { done, all });
    this.say(failed ? `${finished}, ${say("saidLost", { failed })}` : finished);
  }

  /** Another picture is on the screen; `heard` where that is said already. */
  shows(picture, heard) {
    if (picture === this.chosen) return;
    this.chosen = picture;
    const { pictures } = this.queue;
    if (!picture || pictures.length < 2 || heard) return;
    const state = stateWords(picture, this.queue.resting(picture));
    const at = pictures.indexOf(picture) + 1;
    this.say(say("saidPicture", { at, all: pictures.length, name: picture.name, state }));
    if (picture.state === "failed") this.say(failureWords(picture.failure).title);
  }

  /** The picture was zoomed by hand: `scale` is 1 where its pixels are the screen's. */
  zoomed(scale) {
    clearTimeout(this.zooming);
    this.zooming = setTimeout(
      () => this.say(`${say("zoom")}: ${number(scale, 0, { style: "percent" })}`), ZOOM_REST_MS,
    );
  }
}
