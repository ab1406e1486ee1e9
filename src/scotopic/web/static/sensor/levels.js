/** What a picture itself tells where its file is silent. Mirrors `scotopic.sensor.levels`. */

import { median, rint } from "../statistics.js";

const SATURATION_FROM = 0.85;
const SATURATION_PIXELS = 64;
const SATURATION_PEAK = 10;
const SATURATION_ABOVE = 0.05;
const MASKED_SKIPPED = 4;
const MASKED_LEAST = 8;
const MASKED_ROWS_LEAST = 100;
const MASKED_ABOVE_STATED = [-0.5, 1.5];
const MASKED_APART = 0.5;
const FLOAT_STEPS = 2047;
const [RAISED_FROM, RAISED_TO, RAISED_ALIKE] = [0.01, 0.125, 1.15];
const DARKEST_SHARE = 1e-4;
const DARKEST_OF = 1_000_000;
const GREEN = 1;

/** Where this sensor stops counting, in DN: the pile of equal values near the top, else `white`.
 *
 * `data` may be strided: every `step`-th value from `first` on. */
export function saturation(data, black, white, first = 0, step = 1) {
  let from = black + SATURATION_FROM * (white - black);
  const wide = !(data instanceof Uint16Array || data instanceof Uint8Array);
  if (data instanceof Float32Array) from = Math.fround(from);
  let size = 0;
  let least = Infinity;
  const grain = (white - black) / FLOAT_STEPS;
  // Python computes floats of single precision in single precision.
  const round = data instanceof Float32Array ? Math.fround : (x) => x;
  const place = wide
    ? (x) => rint(round(round(Math.min(x, round(2 * white - black)) - round(black)) / round(grain)))
    : (x) => x;
  const counts = new Uint32Array(65536);
  for (let i = first; i < data.length; i += step) {
    const x = data[i];
    if (!(x >= from)) continue;
    const at = place(x);
    counts[at]++;
    size++;
    if (at < least) least = at;
  }
  if (size < SATURATION_PIXELS) return white;
  const pile = pileOf(counts, size, least);
  if (pile === null) return white;
  return wide ? Math.min(black + pile * grain, white) : Math.min(pile, white);
}

/** The value that stands out, as clipping makes it. */
function pileOf(counts, size, least) {
  let peak = 0;
  for (let i = 1; i < counts.length; i++) if (counts[i] > counts[peak]) peak = i;
  const [start, stop] = [Math.max(least, peak - 200), Math.max(0, peak - 3)];
  let below = 0;
  for (let i = start; i < stop; i++) below += counts[i];
  const usual = stop > start ? below / (stop - start) : 0;
  let above = 0;
  for (let i = peak + 3; i < counts.length; i++) above += counts[i];
  const standsOut = counts[peak] >= Math.max(SATURATION_PIXELS, SATURATION_PEAK * usual);
  return standsOut && above <= SATURATION_ABOVE * size ? peak : null;
}

/** The black of each place of the cell by the masked columns left of the picture, as far as they are; else `black`.
 *
 * `values` hold the stored rows of `storedWidth`, of which the picture's begin at `top`, its columns at `left`. */
export function blackOfMargin({ values, storedWidth, top, left, height }, black, white) {
  const size = black.length;
  if (height < Math.max(size, MASKED_ROWS_LEAST)) return black;
  const measured = black.map((row) => row.map(() => 0));
  for (let y = 0; y < size; y++) {
    const means = new Float64Array(left);
    let rows = 0;
    for (let row = top + y; row < top + height; row += size, rows++) {
      for (let x = 0; x < left; x++) means[x] += values[row * storedWidth + x];
    }
    for (let x = 0; x < size; x++) {
      const ofPlace = [];
      for (let at = MASKED_SKIPPED; at < left - MASKED_SKIPPED; at++) {
        if ((at - left - x) % size === 0) ofPlace.push(means[at] / rows);
      }
      if (ofPlace.length < MASKED_LEAST) return black;
      const half = ofPlace.length >> 1;
      if (Math.abs(median(ofPlace.slice(0, half)) - median(ofPlace.slice(-half))) > MASKED_APART) return black;
      measured[y][x] = median(ofPlace);
    }
  }
  const above = measured.flatMap((row, y) => row.map((v, x) => v - black[y][x]));
  const [least, most] = MASKED_ABOVE_STATED;
  const agrees = Math.min(...above) >= least && Math.max(...above) <= most;
  return agrees && Math.max(...measured.flat()) < white ? measured : black;
}

/** Gains for R, G, B that make the mean of all unclipped 8x8 blocks grey; green = 1. */
export function greyWorld({ data, height, width, cfa, black, white }) {
  const cell = cfa.length;
  const size = cell === 6 ? 24 : 8;
  const limit = Math.fround(white > 255 ? white - 25 : 0.99 * white);
  const sums = new Float64Array(size * size);
  let blocks = 0;
  for (let top = 0; top + size <= height; top += size) {
    for (let left = 0; left + size <= width; left += size) {
      let most = -Infinity;
      for (let y = 0; y < size; y++) {
        const row = (top + y) * width + left;
        for (let x = 0; x < size; x++) if (data[row + x] > most) most = data[row + x];
      }
      if (!(most <= limit)) continue;
      blocks++;
      for (let y = 0; y < size; y++) {
        const row = (top + y) * width + left;
        for (let x = 0; x < size; x++) sums[y * size + x] += data[row + x];
      }
    }
  }
  if (!blocks) return [1, 1, 1];
  const [light, counts] = [
    [0, 0, 0],
    [0, 0, 0],
  ];
  for (let i = 0; i < sums.length; i++) {
    const [y, x] = [Math.floor(i / size) % cell, i % cell];
    light[cfa[y][x]] += Math.max(sums[i] / blocks - black[y][x], 0);
    counts[cfa[y][x]]++;
  }
  if (light.some((v) => v <= 0)) return [1, 1, 1];
  const gains = light.map((v, i) => counts[i] / v);
  return [gains[0] / gains[GREEN], 1, gains[2] / gains[GREEN]];
}

/** The same for planes of light with all colours at a pixel, 1 where it clips: Float32Array (3, H, W). */
export function greyWorldOfLight(light) {
  const size = light.length / 3;
  const sums = [0, 0, 0];
  let fits = 0;
  const limit = Math.fround(0.99);
  for (let i = 0; i < size; i++) {
    const [red, green, blue] = [light[i], light[size + i], light[2 * size + i]];
    if (!(Math.max(red, green, blue) < limit)) continue;
    fits++;
    sums[0] += red;
    sums[1] += green;
    sums[2] += blue;
  }
  if (!fits || sums.some((v) => v <= 0)) return [1, 1, 1];
  return [sums[1] / sums[0], 1, sums[1] / sums[2]];
}

/** The DN from which the values of a mosaic begin that states no black, where that seems to be its black; else null. */
export function raised({ data, width, height, cfa, black, white }) {
  const size = cfa.length;
  if (black.flat().some((level) => level > 0) || Math.min(height, width) < size) return null;
  const step = size * Math.max(1, Math.floor(data.length / DARKEST_OF));
  const lows = [0, 1, 2].map((colour) => {
    const places = cfa.flatMap((row, y) => row.flatMap((c, x) => (c === colour ? [[y, x]] : [])));
    const values = new data.constructor(places.length * Math.ceil(height / step) * Math.ceil(width / size));
    let count = 0;
    for (const [dy, dx] of places)
      for (let y = dy; y < height; y += step)
        for (let x = dx; x < width; x += size) values[count++] = data[y * width + x];
    return values.subarray(0, count).sort()[Math.floor(DARKEST_SHARE * count)];
  });
  const [low, high] = [Math.min(...lows), Math.max(...lows)];
  const isAlike = high <= RAISED_ALIKE * low;
  return isAlike && low >= RAISED_FROM * white && low <= RAISED_TO * white ? low : null;
}
