// Red and blue laid upon green for a network, where a lens has drawn them beside it. Mirrors `scotopic.sensor.laid`.

import { meanOf } from "../statistics.js";
import { between, pathOf, TAPS, weigh } from "./moved.js";
import { extendedAxis } from "./pattern.js";

const [RED, GREEN, BLUE] = [0, 1, 2];

/**
 * The mosaic with red and blue laid upon green, in floats: each of their values is given what green changes by between where
 * the lens has drawn that colour and where green lies, times the colour's share of green around there.
 */
export function aligned(mosaic, lateral, noise, { laid: k }) {
  const data = Float32Array.from(mosaic.data);
  const side = mosaic.cfa.length;
  // Half of X-Trans's cell along each axis has some of each colour, and two reds and two blues in the mean.
  const cell = side === 2 ? 2 : side / 2;
  const shape = [mosaic.height, mosaic.width];
  const paths = [RED, BLUE].map((colour) => pathOf(colour === RED ? lateral.red : lateral.blue, shape));
  const reach = Math.max(...paths.map((path) => path.reach));
  const margin = side * Math.ceil(Math.max(reach + TAPS, k.means.length * cell) / side);
  const span = mosaic.white - meanOf(mosaic.black.flat());
  for (let start = 0; start < mosaic.height; start += k.strip) {
    const strip = stripOf(mosaic, start, Math.min(start + k.strip, mosaic.height), margin, k);
    const mean = meansOf(strip, GREEN, cell, k);
    const follows = mean.map((value) => {
      const variance = k.noisy * (noise.shot[GREEN] * Math.max(value / span, 0) + noise.read[GREEN]) * span * span;
      return value / Math.max(value * value + variance, 1e-9);
    });
    for (const [n, colour] of [RED, BLUE].entries()) {
      if (paths[n].nowhere) continue;
      const share = meansOf(strip, colour, cell, k).map((value, i) => value * follows[i]);
      lay(data, mosaic, colour, paths[n], { ...strip, cell, share });
    }
  }
  return { ...mosaic, data };
}

/** Rows with all that is needed around them, above black: light, and green everywhere. */
function stripOf({ data, height, width, cfa, black }, start, stop, margin, k) {
  const side = cfa.length;
  const [top, bottom] = [Math.max(0, start - margin), Math.min(height, stop + margin)];
  const after = margin - (bottom - stop) + ((side - ((stop - start) % side)) % side);
  const rows = extendedAxis(bottom - top, margin - (start - top), after, side);
  const columns = extendedAxis(width, margin, margin + ((side - (width % side)) % side), side);
  const [high, wide] = [rows.length, columns.length];
  const light = new Float32Array(high * wide);
  for (let y = 0, i = 0; y < high; y++) {
    const from = (top + rows[y]) * width;
    const levels = black[y % side];
    for (let x = 0; x < wide; x++, i++) light[i] = data[from + columns[x]] - levels[x % side];
  }
  const green = new Float32Array(high * wide);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const [places, weights] = greensAround(cfa, y, x, wide, k.near);
      for (let row = y || side; row < high - 1; row += side)
        for (let i = row * wide + (x || side); i < (row + 1) * wide - 1; i += side) {
          let sum = 0;
          for (let n = 0; n < places.length; n++) sum += weights[n] * light[i + places[n]];
          green[i] = sum;
        }
    }
  return { start, stop, margin, side, high, wide, light, green, cfa };
}

/** How far on green values lie at and beside a place of the cell, and how much each weighs. */
function greensAround(cfa, y, x, wide, near) {
  const [places, weights] = [[], []];
  const side = cfa.length;
  for (const down of [-1, 0, 1])
    for (const right of [-1, 0, 1]) {
      if (cfa[(y + down + side) % side][(x + right + side) % side] !== GREEN) continue;
      places.push(down * wide + right);
      weights.push(near ** (Math.abs(down) + Math.abs(right)));
    }
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  return [places, weights.map((weight) => weight / all)];
}

/** What `how` makes of all values of a colour in each cell, begun with `begin`. */
function cellsOf({ high, wide, side, light, cfa }, colour, cell, begin, how) {
  const [down, across] = [high / cell, wide / cell];
  const values = new Float32Array(down * across).fill(begin);
  for (let y = 0, i = 0; y < high; y++)
    for (let x = 0; x < wide; x++, i++) {
      if (cfa[y % side][x % side] !== colour) continue;
      const at = Math.floor(y / cell) * across + Math.floor(x / cell);
      values[at] = how(values[at], light[i]);
    }
  return { values, down, across };
}

/** A colour's mean around each cell, at least 0; of those at the strip's edges 0. */
function meansOf(strip, colour, cell, k) {
  const { values, down, across } = cellsOf(strip, colour, cell, 0, (sum, value) => sum + value);
  // Alternate cells, which may hold more or less of it, weigh alike in `means`.
  const count = strip.cfa.flat().filter((c) => c === colour).length / (strip.side / cell) ** 2;
  const edge = (k.means.length - 1) / 2;
  const rows = new Float32Array(values.length);
  for (let i = edge * across; i < (down - edge) * across; i++)
    for (let tap = -edge; tap <= edge; tap++) rows[i] += k.means[tap + edge] * values[i + tap * across];
  const mean = new Float32Array(values.length);
  for (let y = edge; y < down - edge; y++)
    for (let x = edge, i = y * across + edge; x < across - edge; x++, i++) {
      let sum = 0;
      for (let tap = -edge; tap <= edge; tap++) sum += k.means[tap + edge] * rows[i + tap];
      mean[i] = Math.max(sum / count, 0);
    }
  return mean;
}

/** The least or the most of each cell and those around it. */
function around({ values, down, across }, how) {
  const rows = values.map((value, i) => {
    return how(value, values[i - across] ?? value, values[i + across] ?? value);
  });
  return rows.map((value, i) => {
    const x = i % across;
    return how(value, x ? rows[i - 1] : value, x < across - 1 ? rows[i + 1] : value);
  });
}

/** The values of a colour in a strip, to `data`, between the least and the most of their neighbours. */
function lay(data, { width, black }, colour, path, strip) {
  const { start, stop, margin, side, wide, light, green, cfa, cell, share } = strip;
  const [low, high] = [
    [Infinity, Math.min],
    [-Infinity, Math.max],
  ].map(([begin, how]) => around(cellsOf(strip, colour, cell, begin, how), how));
  const across = wide / cell;
  const [down, right, rows] = [new Float64Array(4), new Float64Array(4), new Float64Array(4)];
  for (let y = start; y < stop; y++) {
    const row = y - start + margin;
    for (let x = 0; x < width; x++) {
      if (cfa[y % side][x % side] !== colour) continue;
      const [far, aside] = [path.downAt(y, x), path.rightAt(y, x)];
      const [wholeDown, wholeRight] = [Math.floor(far), Math.floor(aside)];
      weigh(far - wholeDown, down);
      weigh(aside - wholeRight, right);
      const at = row * wide + x + margin;
      let from = at + (wholeDown - 1) * wide + wholeRight;
      for (let tap = 0; tap < TAPS; tap++, from += wide)
        rows[tap] = between(green[from - 1], green[from], green[from + 1], green[from + 2], right);
      const drawn = between(rows[0], rows[1], rows[2], rows[3], down);
      const of = Math.floor(row / cell) * across + Math.floor((x + margin) / cell);
      const value = light[at] + share[of] * (green[at] - drawn);
      data[y * width + x] = Math.min(Math.max(value, low[of]), high[of]) + black[y % side][x % side];
    }
  }
}
