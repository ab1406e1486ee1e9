// Several looks at one picture: turned or mirrored, and begun elsewhere. Their mean is nearer to the truth than each.

import { LIGHT_OF_HALF, narrow } from "./half.js";
import { extendedAxis, modulo } from "./sensor/pattern.js";
import { release, reused } from "./release.js";

/** So many looks at mosaics of a kind of sensor, {reversed, before}, the first of them the mosaic as it is. */
export const views = (sensor, passes, constants) => constants.views[sensor].slice(0, passes);

/**
 * A tile so seen: {rows, columns, cut}, the rows and columns of the mosaic in the order in which the look has them, with
 * sides that are multiples again, and where what was `cut` lies then. What is further from that than the card's halo
 * decides nothing.
 */
export function seen({ reversed, before }, [row, column], cut, cell, { halo, size_multiple: multiple }) {
  const axis = ({ readStart, readStop }, start, stop, backwards, ahead) => {
    const length = readStop - readStart;
    const [first, last] = backwards ? [length - stop, length - start] : [start, stop];
    // A few of a whole halo's pixels may be pushed out at the end; else they are as near as the picture's edge.
    const pushedOut = length - last >= Math.max(halo, ahead);
    const after = pushedOut ? 0 : modulo(-(length + ahead), multiple);
    const all = extendedAxis(length, ahead, after, cell);
    const whole = all.subarray(0, all.length - (all.length % multiple));
    return { places: whole.map((i) => readStart + (backwards ? length - 1 - i : i)), start: first + ahead, stop: last + ahead };
  };
  const rows = axis(row, cut.top, cut.bottom, reversed[0], before[0]);
  const columns = axis(column, cut.left, cut.right, reversed[1], before[1]);
  const found = { top: rows.start, left: columns.start, bottom: rows.stop, right: columns.stop };
  return { rows: rows.places, columns: columns.places, cut: found };
}

/** The mean of what several looks give of a tile, three planes in halves; its memory is used again for the next. */
export class Mean {
  constructor(looks) {
    this.share = 1 / looks.length;
    this.sums = null;
  }

  begin({ height, width }) {
    this.sums = reused(Float32Array, this.sums, 3 * height * width).fill(0);
  }

  /** Takes what a look gave, turned back. */
  add({ reversed: [up, left] }, halves, { height, width }) {
    const { sums } = this;
    const step = left ? -1 : 1;
    let at = 0;
    for (let c = 0; c < 3; c++)
      for (let y = 0; y < height; y++) {
        let from = (c * height + (up ? height - 1 - y : y)) * width + (left ? width - 1 : 0);
        for (const end = at + width; at < end; from += step) sums[at++] += LIGHT_OF_HALF[halves[from]];
      }
  }

  /** Writes the mean as halves. */
  into(halves) {
    const { sums, share } = this;
    for (let i = 0; i < sums.length; i++) sums[i] *= share;
    narrow(sums, halves);
  }

  end() {
    if (this.sums) release(this.sums);
  }
}
