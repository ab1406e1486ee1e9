// Pictures that hold finished colours a pixel, sampled back to a mosaic that the models know.

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
