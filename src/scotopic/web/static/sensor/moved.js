// Colours moved by parts of a pixel, as a lens with lateral colour does: back behind a network, and green on the way.

import { LIGHT_OF_HALF, narrow } from "../half.js";

/** Values, along a row and along a column, that a moved one is made of. */
export const TAPS = 4;

/** Light in halves, three planes, with red and blue back where the lens has drawn them, in place. */
export function moveBack(halves, lateral, height, width) {
  if (!lateral) return;
  for (const [colour, shift] of ofBoth(lateral)) {
    const plane = halves.subarray(colour * height * width, (colour + 1) * height * width);
    const read = (row, line) => {
      for (let x = 0, from = row * width; x < width; x++, from++) line[x] = LIGHT_OF_HALF[plane[from]];
    };
    move(height, width, pathOf(shift, [height, width]), read, (row, line) => narrow(line, plane, row * width));
  }
}

const ofBoth = ({ red, blue }) =>
  [
    [0, red],
    [2, blue],
  ].filter(([, shift]) => shift.some(Boolean));

/** By how many pixels values are taken from elsewhere, by row and column, to lie where a lens has drawn their colour, and the
 * most of it. */
export function pathOf(shift, [height, width]) {
  const [down, right, along, cubed] = shift.map((value) => -value);
  const half = Math.hypot(height, width) / 2;
  const most = Math.max(Math.abs(down), Math.abs(right)) + Math.abs(along) + Math.abs(cubed);
  const y = (row) => (row - (height - 1) / 2) / half;
  const x = (column) => (column - (width - 1) / 2) / half;
  const outwards = (row, column) => along + cubed * (y(row) ** 2 + x(column) ** 2);
  return {
    downAt: (row, column) => down + outwards(row, column) * y(row),
    rightAt: (row, column) => right + outwards(row, column) * x(column),
    reach: Math.ceil(most) + 2,
    nowhere: !shift.some(Boolean),
  };
}

/**
 * A plane whose rows are `read` and put `into` where they were, each value from where `path` leads to: first along its
 * row, which rows above and below do alike. Rows that are still needed are kept; beyond the edges the outermost values
 * go on.
 */
function move(height, width, { downAt, rightAt, reach }, read, into) {
  const kept = Array.from({ length: 2 * reach + 2 }, () => new Float32Array(width));
  const line = new Float32Array(width + 2 * reach);
  const weights = new Float64Array(4);
  const out = new Float32Array(width);
  const moveRight = (row) => {
    const inner = line.subarray(reach, reach + width);
    read(row, inner);
    line.fill(inner[0], 0, reach);
    line.fill(inner[width - 1], reach + width);
    const target = kept[row % kept.length];
    for (let x = 0; x < width; x++) {
      const right = rightAt(row, x);
      const whole = Math.floor(right);
      weigh(right - whole, weights);
      const from = reach + x + whole;
      target[x] = between(line[from - 1], line[from], line[from + 1], line[from + 2], weights);
    }
  };
  const rowOf = (row) => kept[Math.min(Math.max(row, 0), height - 1) % kept.length];
  let ready = 0;
  for (let row = 0; row < height; row++) {
    for (; ready < Math.min(row + reach + 1, height); ready++) moveRight(ready);
    for (let x = 0; x < width; x++) {
      const down = downAt(row, x);
      const whole = Math.floor(down);
      weigh(down - whole, weights);
      const first = row + whole;
      out[x] = between(rowOf(first - 1)[x], rowOf(first)[x], rowOf(first + 1)[x], rowOf(first + 2)[x], weights);
    }
    into(row, out);
  }
}

/** The sum of four values by their weights, between the two in the middle: around a lamp nothing becomes darker. */
export function between(before, near, next, after, weights) {
  const total = weights[0] * before + weights[1] * near + weights[2] * next + weights[3] * after;
  return Math.min(Math.max(total, Math.min(near, next)), Math.max(near, next));
}

/** The weights of the values before, at, after and two after a place between two (Keys 1981, a = -1/2), to `weights`. */
export function weigh(part, weights) {
  const [square, cube] = [part * part, part * part * part];
  weights[0] = -0.5 * cube + square - 0.5 * part;
  weights[1] = 1.5 * cube - 2.5 * square + 1;
  weights[2] = -1.5 * cube + 2 * square + 0.5 * part;
  weights[3] = 0.5 * cube - 0.5 * square;
}
