// Pictures that hold finished colours a pixel: sampled back to a mosaic that the models know, and what of the models'
// work on it becomes of the finished colours.

import { LIGHT_OF_HALF, narrow } from "./half.js";
import { median } from "./noise.js";

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

/** A word where finished colours of that noise will hardly be changed, else "". */
export function saidOf({ shot, read }, ratio, constants) {
  const { littleNoise, keptWords } = constants.remosaic;
  const told = Math.sqrt((shot[GREEN] * 0.18) / ratio + read[GREEN]) * ratio;
  return told < littleNoise ? keptWords : "";
}

/**
 * Changes `cleaned` back towards the finished colours `own` where noise does not explain the change: both halves of
 * three planes, amplified and balanced, {height, width}. In place, in `cleaned`.
 */
export function takeNoise(own, cleaned, { height, width }, noise, ratio, wb, constants) {
  const { explained, reach, tiny } = constants.remosaic;
  const side = 2 * reach + 1;
  const wide = width + 2 * reach;
  const spare = { square: new Float32Array(wide), light: new Float32Array(wide) };
  // The last rows' sums along the row, of squared changes and of light; three colours after each other.
  const ring = Array.from({ length: side }, () => {
    return { squares: new Float32Array(3 * width), lights: new Float32Array(3 * width) };
  });
  const enter = (row) => {
    const { squares, lights } = ring[row % side];
    for (let c = 0; c < 3; c++) {
      const at = (c * height + row) * width;
      for (let x = 0; x < wide; x++) {
        const place = at + Math.min(Math.max(x - reach, 0), width - 1);
        const light = LIGHT_OF_HALF[cleaned[place]];
        const change = light - LIGHT_OF_HALF[own[place]];
        spare.square[x] = change * change;
        spare.light[x] = light;
      }
      alongRow(spare.square, side, squares, c * width, width);
      alongRow(spare.light, side, lights, c * width, width);
    }
  };
  const excess = new Float32Array(width);
  const line = new Float32Array(width);
  for (let row = 0; row < Math.min(reach, height); row++) enter(row);
  for (let row = 0; row < height; row++) {
    if (row + reach < height) enter(row + reach);
    excess.fill(0);
    const around = ring.map((_, i) => ring[Math.min(Math.max(row + i - reach, 0), height - 1) % side]);
    for (let c = 0; c < 3; c++) {
      const gain = ratio * wb[c];
      // The variance of light, from the sum of it over the square.
      const slope = (noise.shot[c] * gain) / (side * side);
      const floor = noise.read[c] * gain * gain;
      spare.square.fill(0);
      spare.light.fill(0);
      for (const { squares, lights } of around) {
        addTo(spare.square, squares, c * width, width);
        addTo(spare.light, lights, c * width, width);
      }
      for (let x = 0; x < width; x++)
        excess[x] += spare.square[x] / Math.max(slope * Math.max(spare.light[x], 0) + floor, tiny);
    }
    const most = 3 * explained * side * side;
    for (let c = 0; c < 3; c++) {
      const at = (c * height + row) * width;
      for (let x = 0; x < width; x++) {
        const mine = LIGHT_OF_HALF[own[at + x]];
        line[x] = mine + (LIGHT_OF_HALF[cleaned[at + x]] - mine) / Math.max(excess[x] / most, 1);
      }
      narrow(line, cleaned, at);
    }
  }
}

/** Sums of `side` values after each other, to `out` from `start` on. */
function alongRow(values, side, out, start, width) {
  out.fill(0, start, start + width);
  for (let i = 0; i < side; i++) for (let x = 0; x < width; x++) out[start + x] += values[x + i];
}

function addTo(sums, values, start, width) {
  for (let x = 0; x < width; x++) sums[x] += values[start + x];
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
  return squares.length ? median(squares) : 0;
}
