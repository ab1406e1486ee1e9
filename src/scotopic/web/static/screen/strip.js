// The strip of thumbnails: a button for each picture, its state as a mark and as words.

import { say } from "./i18n.js";
import { stateOf, stateWords } from "./status.js";

const SIDE = 144; // Pixels of a thumbnail, twice what it takes on the screen.
const MARGIN = 12; // CSS pixels that the selected one keeps from the strip's ends.

export class Strip {
  /** `sure(picture)` promises whether it may be removed, `refuge()` names what takes the focus where the strip goes. */
  constructor(nav, list, queue, { sure, refuge }) {
    Object.assign(this, { sure, refuge });
    this.nav = nav;
    this.list = list;
    this.queue = queue;
    this.items = new Map();
  }

  /** Bring the strip in line with the queue. */
  refresh() {
    const { pictures } = this.queue;
    this.nav.hidden = pictures.length < 2;
    for (const [picture, item] of this.items) {
      if (pictures.includes(picture)) continue;
      item.remove();
      this.items.delete(picture);
    }
    for (const picture of pictures) this.update(picture);
    this.show(this.items.get(this.queue.selected));
  }

  /** Bring an item into sight by moving the strip alone: the page stays where the user has scrolled it. */
  show(item) {
    if (!item) return;
    const [frame, box] = [this.nav.getBoundingClientRect(), item.getBoundingClientRect()];
    const before = frame.left + MARGIN - box.left;
    const after = box.right + MARGIN - frame.right;
    if (before > 0) this.nav.scrollLeft -= before;
    else if (after > 0) this.nav.scrollLeft += after;
  }

  update(picture) {
    let item = this.items.get(picture);
    if (!item) {
      if (!this.queue.pictures.includes(picture)) return;
      item = this.make(picture);
      this.items.set(picture, item);
      this.list.append(item);
    }
    const selected = picture === this.queue.selected;
    const button = item.querySelector(".thumb");
    const resting = this.queue.resting(picture);
    button.dataset.state = stateOf(picture, resting);
    if (selected) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    button.setAttribute("aria-label", say("thumb", { name: picture.name, state: stateWords(picture, resting) }));
    button.title = picture.name;
    button.style.setProperty("--share", String(picture.working ? picture.share : 0));
    item.querySelector(".remove").setAttribute("aria-label", say("remove", { name: picture.name }));
    const shown = button.querySelector("canvas");
    if (picture.thumb && button.dataset.thumb !== String(picture.thumbSerial)) {
      button.dataset.thumb = String(picture.thumbSerial);
      shown.width = picture.thumb.width;
      shown.height = picture.thumb.height;
      shown.getContext("2d").drawImage(picture.thumb, 0, 0);
    }
  }

  make(picture) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "thumb";
    button.append(document.createElement("canvas"), Object.assign(document.createElement("span"), { className: "mark" }));
    button.addEventListener("click", () => this.queue.select(picture));
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "remove";
    remove.innerHTML = '<svg aria-hidden="true"><use href="#i-close"/></svg>';
    remove.addEventListener("click", async () => {
      if (!(await this.sure(picture))) return;
      const at = [...this.list.children].indexOf(item);
      const focused = item.contains(document.activeElement);
      this.queue.remove(picture);
      this.refresh();
      // Whoever removes by the keyboard goes on where the picture was.
      if (!focused) return;
      const next = this.nav.hidden ? null : (this.list.children[at] ?? this.list.lastElementChild);
      (next?.querySelector(".thumb") ?? this.refuge()).focus({ preventScroll: true });
    });
    item.append(button, remove);
    return item;
  }
}

/** A small copy of a canvas, for the strip. */
export function thumbOf(canvas) {
  const share = Math.min(1, SIDE / Math.max(canvas.width, canvas.height));
  const small = document.createElement("canvas");
  small.width = Math.max(1, Math.round(canvas.width * share));
  small.height = Math.max(1, Math.round(canvas.height * share));
  const pen = small.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(canvas, 0, 0, small.width, small.height);
  return small;
}
