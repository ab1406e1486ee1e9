/** A DNG's stored values and tags to a mosaic or a linear picture. Mirrors `scotopic.dng.read`.
 *
 * Where Python computes in single precision, so does this: the values come out the same to the last bit. */

import { damaged, tooSmall } from "../errors.js";
import { greyWorld, greyWorldOfLight, saturation } from "../sensor/levels.js";
import { LIGHT_MAX, bent } from "./opcodes.js";
import { SIDE_MIN } from "./directory.js";
import { Shading } from "../sensor/shading.js";
import { grid } from "./tags.js";

/** Floats with a white level below the one become counts by the other, a power of two. */
const COUNTS_FROM = 256;
const COUNTS = 65536;
const GREY_WORLD = "grey world (the file gives none)";
const NO_FILTERS = "none (no colour filters)";

const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

/** What `dng` makes of its decoded values.
 *
 * `stored` is the whole stored picture with curves undone: `values` (height, width, stride), of which the first
 * `dng.samples` of every `stride` count. Only the active area is kept. */
export function captured(stored, dng, fields) {
  const [top, left, bottom, right] = dng.area;
  const [height, width] = [bottom - top, right - left];
  checkSide(dng);
  const cell = dng.cfa?.length ?? 1;
  const black = dng.black.isStated || !dng.masked.length ? dng.black : blackOfMasked(stored, dng, cell);
  const highest =
    most(black.values) +
    [dng.rowDelta, dng.columnDelta]
      .filter((d) => d !== null)
      .reduce((sum, d) => sum + (dng.cfa ? mean(d) : most(d)), 0);
  const white = Math.min(...dng.white);
  if (!(white > highest)) throw damaged(`its white level ${white} is not above its black level ${highest}`);
  const all = { ...fields, noise: dng.noise, orientation: dng.orientation, pixelAspect: dng.pixelAspect };
  all.xyzToCamera = dng.xyzToCamera;
  all.shading = dng.gains.length ? new Shading(dng.gains, height, width, dng.cfa) : null;
  all.notes = dng.notes;
  const seen = { ...stored, top, left, height, width };
  return dng.cfa ? mosaic(seen, dng, black, all) : linear(seen, dng, black, all);
}

/** Throw too-small where the picture is too small to be a photo. */
export function checkSide({ area: [top, left, bottom, right] }) {
  const [height, width] = [bottom - top, right - left];
  if (Math.min(height, width) < SIDE_MIN) throw tooSmall(width, height);
}

/** Throw where the last rows repeat: decoders fill up short files so. Noise never repeats. */
export function checkWhole({ values, stride, storedWidth, top, left, height, width }, samples = 1) {
  if (height < 4) return;
  const row = (y, x, s) => values[((top + height - 4 + y) * storedWidth + left + x) * stride + s];
  let [lowest, highest] = [Infinity, -Infinity];
  for (let x = 0; x < width; x++) {
    for (let s = 0; s < samples; s++) {
      if (row(0, x, s) !== row(2, x, s) || row(1, x, s) !== row(3, x, s)) return;
      lowest = Math.min(lowest, row(0, x, s));
      highest = Math.max(highest, row(0, x, s));
    }
  }
  if (lowest !== highest) throw damaged("the RAW file is cut short or damaged, its last rows repeat");
}

/** The mean of the pixels that see no light, for each place of the cell. */
function blackOfMasked({ values, stride, storedWidth }, dng, cell) {
  const [top, left] = dng.area;
  const { samples } = dng;
  const sums = new Array(cell * cell * samples).fill(0);
  const counts = new Array(cell * cell * samples).fill(0);
  for (const [first, start, last, end] of dng.masked) {
    for (let y = first; y < last; y++) {
      const dy = (((y - top) % cell) + cell) % cell;
      for (let x = start; x < end; x++) {
        const dx = (((x - left) % cell) + cell) % cell;
        for (let s = 0; s < samples; s++) {
          sums[(dy * cell + dx) * samples + s] += values[(y * storedWidth + x) * stride + s];
          counts[(dy * cell + dx) * samples + s]++;
        }
      }
    }
  }
  const total = (list) => list.reduce((a, b) => a + b, 0);
  const everywhere = total(sums) / Math.max(1, total(counts));
  const means = sums.map((sum, i) => (counts[i] ? sum / counts[i] : everywhere));
  return { rows: cell, columns: cell, values: means };
}

function mosaic(seen, dng, black, fields) {
  const cell = dng.cfa.length;
  let white = Math.min(...dng.white);
  let { places, shading } = byPlace(black, dng, cell);
  const { values } = seen;
  const isCounts = values instanceof Uint16Array || values instanceof Uint8Array;
  let { height, width } = seen;
  let data;
  if (!shading && !dng.maps.length && isCounts) {
    data = cropped(seen, new Uint16Array(height * width));
  } else {
    data = cropped(seen, new Float32Array(height * width));
    makeFinite(data, white);
    if (shading) shade(data, width, shading);
    if (dng.maps.length) bendMosaic(data, width, dng, places, white);
  }
  if (dng.isFloat && white < COUNTS_FROM) {
    for (let i = 0; i < data.length; i++) data[i] *= COUNTS;
    places = places.map((row) => row.map((v) => v * COUNTS));
    white *= COUNTS;
  }
  let { cfa } = dng;
  const [down, across] = [dng.area[0] % 2, dng.area[1] % 2];
  if (cell === 2 && (down || across)) {
    // Without the row and column before the first even ones, which LibRaw leaves out too.
    const whole = { values: data, stride: 1, storedWidth: width, top: down, left: across };
    [height, width] = [height - down, width - across];
    data = cropped({ ...whole, height, width }, new data.constructor(height * width));
    const rolled = (of) => grid(2, 2, (y, x) => of[(y + down) % 2][(x + across) % 2]);
    [cfa, places] = [rolled(cfa), rolled(places)];
    if (fields.shading) fields.shading = fields.shading.cut(down, across);
  }
  const isStraight = dng.table === null && !dng.maps.length;
  const levels = { data, height, width, cfa, black: places, white };
  return {
    kind: "mosaic",
    ...levels,
    saturation: isStraight ? saturation(data, most(places.flat()), white) : white,
    wb: dng.wb ?? greyWorld(levels),
    wbSource: dng.wb ? "camera" : GREY_WORLD,
    ...fields,
  };
}

/** The seen part of one sample, copied into `out`. */
function cropped({ values, stride, storedWidth, top, left, height, width }, out) {
  for (let y = 0; y < height; y++) {
    const row = ((top + y) * storedWidth + left) * stride;
    if (stride === 1) {
      out.set(values.subarray(row, row + width), y * width);
    } else {
      for (let x = 0; x < width; x++) out[y * width + x] = values[row + x * stride];
    }
  }
  return out;
}

/** Floats without the infinities of overflown lamps. */
function makeFinite(data, white) {
  const limit = LIGHT_MAX * white;
  for (let i = 0; i < data.length; i++) {
    const v = data[i];
    if (Number.isNaN(v) || v === -Infinity) data[i] = 0;
    else if (v === Infinity) data[i] = white;
    else if (v > limit) data[i] = limit;
    else if (v < -limit) data[i] = -limit;
  }
}

const gcd = (a, b) => (b ? gcd(b, a % b) : a);
const lcm = (a, b) => (a * b) / gcd(a, b);

/** Black for each place of the cell, and what differs from it: null, or a function of row and column. */
function byPlace(black, dng, cell) {
  const [rows, columns] = [lcm(black.rows, cell), lcm(black.columns, cell)];
  const over = grid(rows, columns, (y, x) => black.values[(y % black.rows) * black.columns + (x % black.columns)]);
  const base = grid(cell, cell, (dy, dx) => {
    let sum = 0;
    for (let y = dy; y < rows; y += cell) for (let x = dx; x < columns; x += cell) sum += over[y][x];
    return sum / ((rows / cell) * (columns / cell));
  });
  const rest = grid(rows, columns, (y, x) => over[y][x] - base[y % cell][x % cell]);
  const [rowMean, columnMean] = [dng.rowDelta, dng.columnDelta].map((d) => (d ? mean(d) : 0));
  const places = base.map((row) => row.map((v) => v + rowMean + columnMean));
  const rowRest = dng.rowDelta?.map((v) => v - rowMean) ?? [];
  const columnRest = dng.columnDelta?.map((v) => v - columnMean) ?? [];
  const differs = [...rest.flat(), ...rowRest, ...columnRest].some((v) => v !== 0);
  const shading = (y, x) => Math.fround(rest[y % rows][x % columns] + (rowRest[y] ?? 0) + (columnRest[x] ?? 0));
  return { places, shading: differs ? shading : null };
}

function shade(data, width, shading) {
  for (let i = 0; i < data.length; i++) data[i] -= shading(Math.floor(i / width), i % width);
}

/** Make a mosaic linear whose opcodes bend its values, in place; it stays in DN. */
function bendMosaic(data, width, dng, places, white) {
  const cell = places.length;
  const { fround } = Math;
  for (let i = 0; i < data.length; i++) {
    const [y, x] = [Math.floor(i / width), i % width];
    const level = fround(places[y % cell][x % cell]);
    const span = fround(fround(white) - level);
    const light = bent(fround(fround(data[i] - level) / span), dng.maps, y, x, 0);
    data[i] = fround(light * span) + level;
  }
}

function linear(seen, dng, black, fields) {
  const { samples } = dng;
  const { height, width } = seen;
  const data = lightOf(seen, dng, black);
  let clip = 1;
  if (dng.isFloat) {
    // Merged exposures go on above the white level; what overflowed was at least as bright as the rest.
    let highest = 0;
    for (const v of data) if (v > highest && v !== Infinity) highest = v;
    clip = Math.min(Math.max(1, highest), LIGHT_MAX);
    for (let i = 0; i < data.length; i++) {
      const v = data[i];
      data[i] = Number.isNaN(v) || v === -Infinity ? 0 : Math.min(clip, Math.max(-LIGHT_MAX, v));
    }
  }
  if (dng.table === null && !dng.maps.length && clip === 1) {
    const plane = new seen.values.constructor(height * width);
    for (let s = 0; s < samples; s++) {
      const low = most(black.values.filter((_, i) => i % samples === s));
      const high = dng.white[s];
      cropped({ ...seen, values: seen.values.subarray(s) }, plane);
      clip = Math.min(clip, (saturation(plane, low, high) - low) / (high - low));
    }
  }
  if (dng.baselineEv) {
    // Display white is 1, not the white level.
    const brighter = 2 ** dng.baselineEv;
    for (let i = 0; i < data.length; i++) data[i] *= Math.fround(brighter);
    clip *= brighter;
    fields.noise = brightened(dng.noise, brighter);
  }
  const monochrome = samples === 1;
  const wb = monochrome ? [1, 1, 1] : dng.wb;
  return {
    kind: "linear",
    data,
    height,
    width,
    clip,
    ratio: 1,
    monochrome,
    wb: wb ?? greyWorldOfLight(data),
    wbSource: monochrome ? NO_FILTERS : wb ? "camera" : GREY_WORLD,
    ...fields,
  };
}

/** The noise of light that is multiplied. */
function brightened(noise, gain) {
  if (noise === null) return null;
  return { ...noise, shot: noise.shot.map((v) => v * gain), read: noise.read.map((v) => v * gain * gain) };
}

/** (value - black) / (white - black) with the opcodes' curves: planes (3, H, W). */
function lightOf({ values, stride, storedWidth, top, left, height, width }, dng, black) {
  const { samples, maps, rowDelta, columnDelta } = dng;
  const size = height * width;
  const data = new Float32Array(3 * size);
  const deltas = [rowDelta, columnDelta].filter((d) => d !== null).reduce((sum, d) => sum + most(d), 0);
  for (let s = 0; s < samples; s++) {
    const level = grid(black.rows, black.columns, (y, x) => black.values[(y * black.columns + x) * samples + s]);
    // The specification scales by the highest black level of a plane.
    const span = dng.white[s] - (most(level.flat()) + deltas);
    const isCounts = values instanceof Uint16Array || values instanceof Uint8Array;
    const isEverywhere = black.rows === 1 && black.columns === 1 && !rowDelta && !columnDelta && !maps.length;
    const table =
      isCounts && isEverywhere ? Float32Array.from({ length: 65536 }, (_, v) => (v - level[0][0]) / span) : null;
    for (let y = 0; y < height; y++) {
      const from = ((top + y) * storedWidth + left) * stride + s;
      const to = s * size + y * width;
      const row = level[y % black.rows];
      for (let x = 0; x < width; x++) {
        const value = values[from + x * stride];
        if (table) {
          data[to + x] = table[value];
          continue;
        }
        const at = row[x % black.columns] + (rowDelta?.[y] ?? 0) + (columnDelta?.[x] ?? 0);
        data[to + x] = bent(Math.fround((value - at) / span), maps, y, x, s);
      }
    }
  }
  if (samples === 1) {
    data.copyWithin(size, 0, size);
    data.copyWithin(2 * size, 0, size);
  }
  return data;
}
