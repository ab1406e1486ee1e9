// Pictures that hold finished colours a pixel: sampled back to a mosaic that the models know, and what of the models'
// work on it becomes of the finished colours.

import { LIGHT_OF_HALF, narrow } from "../half.js";
import { medianOfMany } from "../statistics.js";

const GREEN = 1;

/** Rows looked at for noise: as many tell as much as all. */
const ROWS = 512;

/**
 * A mosaic as it is; a linear picture sampled back to one, of the Bayer phase that kept most noise. `data` is then
 * a Float32Array in DN.
 */
export function asMosaic(captured, constants) {
  if (captured.kind === "mosaic") return captured;
  const { whiteDn, rggb } = constants.remosaic;
  const { height, width, ratio = 1, clip } = captured;
  const [top, left] = noisiestPhase(captured, rggb);
  const cfa = [0, 1].map((y) => [0, 1].map((x) => rggb[(y + top) % 2][(x + left) % 2]));
  const scale = Math.fround(whiteDn / ratio);
  const data = new Float32Array(height * width);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      data[at] = captured.data[cfa[y & 1][x & 1] * height * width + at] * scale;
    }
  const black = [
    [0, 0],
    [0, 0],
  ];
  return { ...captured, kind: "mosaic", data, cfa, black, white: whiteDn, saturation: (clip / ratio) * whiteDn };
}

/** Whether finished colours of that noise, amplified so, will hardly be changed. */
export function hardlyNoisy({ shot, read }, ratio, constants) {
  return Math.sqrt((shot[GREEN] * 0.18) / ratio + read[GREEN]) * ratio < constants.remosaic.littleNoise;
}

const STRIP_ROWS = 128;

/** No pixel counts for more, so that sums stay exact. */
const EXCESS_MAX = 1e9;

/**
 * Changes `cleaned` back towards the finished colours `own` where noise does not explain the change: both halves of
 * three planes, amplified and balanced, {height, width}. In place, in `cleaned`. `go` throws where the work is to stop.
 */
export function takeNoise(own, cleaned, size, noise, { ratio, wb, constants, go = () => {} }) {
  const judge = judging(own, cleaned, size, noise, ratio, wb, constants);
  const { height, width } = size;
  let ready = judge(0);
  const line = new Float32Array(width);
  for (let top = 0; top < height; top += STRIP_ROWS) {
    go();
    // The strip below is judged before this one, which it overlaps, is changed.
    const below = top + STRIP_ROWS < height ? judge(top + STRIP_ROWS) : null;
    for (let row = top; row < Math.min(top + STRIP_ROWS, height); row++)
      for (let c = 0; c < 3; c++) {
        const at = (c * height + row) * width;
        const first = (row - top) * width;
        for (let x = 0; x < width; x++) {
          const mine = LIGHT_OF_HALF[own[at + x]];
          line[x] = mine + ready[first + x] * (LIGHT_OF_HALF[cleaned[at + x]] - mine);
        }
        narrow(line, cleaned, at);
      }
    ready = below;
  }
}

/** How much of the change noise explains, 0..1: top to a strip of it. Beyond the edges the outermost pixels go on. */
function judging(own, cleaned, { height, width }, { shot, read }, ratio, wb, constants) {
  const { explained, reach, tiny } = constants.remosaic;
  const margin = 3 * reach + 1;
  const wide = width + 2 * margin;
  const columns = Int32Array.from({ length: wide }, (_, x) => Math.min(Math.max(x - margin, 0), width - 1));
  const plane = () => new Float32Array((Math.min(STRIP_ROWS, height) + 2 * margin) * wide);
  const [light, squares, mean, excess, near, judged, found, spoilt] = Array.from({ length: 8 }, plane);
  return (top) => {
    const rows = Math.min(top + STRIP_ROWS, height) - top;
    const high = rows + 2 * margin;
    const [tall, broad] = [high - 2 * reach, wide - 2 * reach];
    // The mean square in variances, pixel by pixel.
    excess.fill(0);
    for (let c = 0; c < 3; c++) {
      for (let row = 0, to = 0; row < high; row++) {
        const at = (c * height + Math.min(Math.max(top + row - margin, 0), height - 1)) * width;
        for (let x = 0; x < wide; x++, to++) {
          const value = LIGHT_OF_HALF[cleaned[at + columns[x]]];
          const change = value - LIGHT_OF_HALF[own[at + columns[x]]];
          light[to] = value;
          squares[to] = change * change;
        }
      }
      means(light, high, wide, reach, mean);
      const gain = ratio * wb[c];
      const [slope, floor] = [3 * shot[c] * gain, 3 * read[c] * gain * gain];
      for (let row = 0, to = 0; row < tall; row++)
        for (let x = 0, at = (row + reach) * wide + reach; x < broad; x++, to++, at++) {
          const variance = slope * Math.max(mean[to], 0) + floor;
          excess[to] += Math.min(squares[at] / Math.max(variance, tiny), EXCESS_MAX);
        }
    }
    means(excess, tall, broad, 1, near);
    means(excess, tall, broad, reach, mean);
    defects(near, mean, tall, broad, constants.remosaic, found, spoilt);
    const [h, w] = [tall - 6, broad - 6];
    for (let y = 0, at = 0; y < h; y++)
      for (let x = 0, from = (y + 3) * broad + 3; x < w; x++, at++, from++)
        judged[at] = excess[from] - spoilt[at] * Math.max(excess[from] - 1, 0);
    const shares = new Float32Array(rows * width);
    means(judged, h, w, reach, shares);
    for (let y = 0, at = 0; y < rows; y++)
      for (let x = 0, from = (y + reach) * w + reach; x < width; x++, at++, from++) {
        const share = 1 / Math.max(shares[at] / explained, 1);
        shares[at] = share + spoilt[from] * (1 - share);
      }
    return shares;
  };
}

/**
 * How surely hot and dead pixels have spread there, 0..1, to `spread`: of an excess of (h, w) whose means over 3x3 and
 * 5x5 are given, (h - 6, w - 6).
 */
function defects(near, wide, height, width, { explained, defect, isolated }, found, spread) {
  const [tall, broad] = [height - 4, width - 4];
  for (let y = 0, at = 0; y < tall; y++)
    for (let x = 0, from = (y + 1) * (width - 2) + 1; x < broad; x++, at++, from++) {
      const inner = near[from];
      if (inner <= defect) {
        found[at] = 0;
        continue;
      }
      const ring = (25 * wide[at] - 9 * inner) / 16;
      const alone = 2 - ring / Math.max(explained, isolated * inner);
      found[at] = Math.min(inner / defect - 1, 1) * Math.min(Math.max(alone, 0), 1);
    }
  const [h, w] = [tall - 2, broad - 2];
  for (let y = 0; y < tall; y++)
    for (let x = 0, at = y * broad; x < w; x++, at++)
      found[at] = Math.max(found[at], found[at + 1], found[at + 2]);
  for (let y = 0, to = 0; y < h; y++)
    for (let x = 0, at = y * broad; x < w; x++, at++, to++)
      spread[to] = Math.max(found[at], found[at + broad], found[at + 2 * broad]);
}

/** Means over the squares that lie within: (h, w) to (h - 2 reach, w - 2 reach), by sums that run along. */
function means(values, height, width, reach, out) {
  const side = 2 * reach + 1;
  const broad = width - 2 * reach;
  const even = 1 / (side * side);
  // In doubles, so that what has been added goes again without a trace.
  const sums = new Float64Array(width);
  for (let y = 0; y < height; y++) {
    const [enters, leaves] = [y * width, (y - side) * width];
    if (leaves < 0) for (let x = 0; x < width; x++) sums[x] += values[enters + x];
    else for (let x = 0; x < width; x++) sums[x] += values[enters + x] - values[leaves + x];
    if (y < side - 1) continue;
    let sum = 0;
    for (let x = 0; x < side - 1; x++) sum += sums[x];
    for (let x = 0, to = (y - side + 1) * broad; x < broad; x++, to++) {
      sum += sums[x + side - 1];
      out[to] = sum * even;
      sum -= sums[x];
    }
  }
}

/** Rows and columns by which RGGB is shifted; 0, 0 where all phases are alike. */
function noisiestPhase(linear, rggb) {
  if (linear.monochrome) return [0, 0];
  let best = [0, 0];
  let most = 0;
  let first = 0;
  for (const [top, left] of [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ]) {
    let total = 0;
    for (const y of [0, 1])
      for (const x of [0, 1]) {
        const colour = rggb[(y + top) % 2][(x + left) % 2];
        total += (colour === GREEN ? 0.5 : 1) * noiseOf(linear, colour, y, x);
      }
    if (!top && !left) first = total;
    if (total > most) [most, best] = [total, [top, left]];
  }
  return most > 1.02 * first ? best : [0, 0];
}

/** A measure of the finest detail that edges do not sway: the median of squared second differences. */
function noiseOf({ data, height, width }, colour, dy, dx) {
  const rows = Math.ceil((height - dy) / 2);
  const columns = Math.ceil((width - dx) / 2);
  const step = Math.max(1, Math.floor(rows / ROWS));
  if (columns < 3) return 0;
  const squares = new Float32Array(Math.ceil(rows / step) * (columns - 2));
  let at = 0;
  for (let row = 0; row < rows; row += step) {
    const start = colour * height * width + (2 * row + dy) * width + dx;
    for (let x = 0; x < columns - 2; x++) {
      const place = start + 2 * x;
      const second = data[place] - 2 * data[place + 2] + data[place + 4];
      squares[at++] = second * second;
    }
  }
  return squares.length ? medianOfMany(squares) : 0;
}
