/** Single facts from a DNG's tags: colours, levels, places, noise. Mirrors `scotopic.dng.tags`.
 *
 * Numbers of tags and the meaning of their values are those of the Digital Negative Specification 1.7.1. */

import { damaged, unsupported } from "../errors.js";
import { determinant, times, timesVector } from "../matrix.js";

/** EXIF light sources in the order in which LibRaw wants its matrix: D65, daylight, D55, D75, D50, flash. */
const DAYLIGHTS = [21, 1, 20, 22, 23, 4];

export const LINEARIZATION_TABLE = 50712;
export const OPCODE_LIST_2 = 51009;
export const OPCODE_LIST_3 = 51022;
export const NOISE_PROFILE = 51041;
export const BLACK_DELTA_H = 50715;
export const BLACK_DELTA_V = 50716;
export const ROW_FIELDS = 50975;
export const COLUMN_FIELDS = 52547;
export const ACTIVE_AREA = 50829;
export const BASELINE_EXPOSURE = 50730;

/** More stops either way are damage. */
const BASELINE_EV_MAX = 12;

/** ColorMatrix, CalibrationIlluminant, CameraCalibration: the first and the second. */
const MATRIX_TAGS = [
  [50721, 50778, 50723],
  [50722, 50779, 50724],
];

const finite = (values) => values !== null && values.length > 0 && values.every(Number.isFinite);

/** A page's tags, and those of the first page for what it does not say. */
export class Tags {
  constructor(page, first) {
    this.pages = [page, first];
  }

  #of(code) {
    return this.pages.find((page) => page.has(code)) ?? this.pages[1];
  }

  numbers(code) {
    return this.#of(code).numbers(code);
  }

  text(code) {
    return this.#of(code).text(code);
  }

  directory(code) {
    return this.#of(code).directory(code);
  }
}

/** Exposure in seconds and ISO from the EXIF directory, where they make sense; else null. */
export function shot(tags) {
  const exif = tags.directory(34665);
  const positive = (code) => {
    const values = exif?.numbers(code);
    return values?.length === 1 && values[0] > 0 && Number.isFinite(values[0]) ? values[0] : null;
  };
  return { exposure_s: positive(0x829a), iso: positive(0x8827) };
}

/** Width over height of a pixel, from DefaultScale; 1 where it makes no sense. */
export function pixelAspect(tags) {
  const scale = tags.numbers(50718);
  if (scale?.length !== 2 || !finite(scale) || scale.some((v) => v <= 0)) return 1;
  const aspect = scale[0] / scale[1];
  // LibRaw's tolerance on both counts.
  return aspect >= 0.1 && aspect <= 10 && !(aspect > 0.995 && aspect < 1.005) ? aspect : 1;
}

/** BaselineExposure in stops, 0 where there is none; and a word where it makes no sense. */
export function baselineEv(tags) {
  const stated = tags.numbers(BASELINE_EXPOSURE);
  if (!stated?.length) return { ev: 0, note: "" };
  if (Math.abs(stated[0]) <= BASELINE_EV_MAX) return { ev: stated[0], note: "" };
  return { ev: 0, note: `its BaselineExposure of ${stated[0]} stops makes no sense and is left out` };
}

/** The repeating colours, as few as will do. */
export function cell(tags) {
  const [codes, dims, planes] = [tags.numbers(33422), tags.numbers(33421), tags.numbers(50710)];
  const kind = tags.numbers(50711);
  if (kind !== null && kind[0] !== 1) {
    throw unsupported("staggered pixels", "its sensor has staggered pixels, such as Fujifilm's SuperCCD");
  }
  if (codes === null || dims?.length !== 2) {
    throw unsupported("no colour pattern", "does not say which colours its sensor's pixels see");
  }
  const [rows, columns] = dims;
  if (codes.length !== rows * columns || !codes.length) {
    throw damaged(`its colour pattern has ${codes.length} entries; ${rows}x${columns} are needed`);
  }
  const isPlain = planes === null || planes.join() === "0,1,2";
  if (!isPlain || codes.some((c) => c > 2)) {
    throw unsupported("colour filters", "its colour filters are not red, green and blue alone");
  }
  for (const size of [2, 6]) {
    const fits = rows % size === 0 && columns % size === 0;
    const at = (y, x) => codes[y * columns + x];
    if (fits && codes.every((c, i) => c === at(Math.floor(i / columns) % size, (i % columns) % size))) {
      return grid(size, size, at);
    }
  }
  throw unsupported("colour pattern", `its colour pattern repeats every ${rows}x${columns} pixels`);
}

export const grid = (rows, columns, value) =>
  Array.from({ length: rows }, (_, y) => Array.from({ length: columns }, (_, x) => value(y, x)));

/** [top, left, bottom, right] of the pixels that see the scene; all where the file does not say. */
export function activeArea(tags, width, height) {
  const stated = tags.numbers(ACTIVE_AREA);
  if (stated?.length !== 4 || !finite(stated)) return [0, 0, height, width];
  const [top, left] = stated.slice(0, 2).map((v) => Math.max(0, Math.trunc(v)));
  const [bottom, right] = [Math.min(height, Math.trunc(stated[2])), Math.min(width, Math.trunc(stated[3]))];
  if (bottom <= top || right <= left) {
    throw damaged(`its active area ${stated} lies outside its ${width}x${height} pixels`);
  }
  return [top, left, bottom, right];
}

/** Whether `activeArea` had to cut what the file says. */
export function statesOtherArea(tags, area) {
  const stated = tags.numbers(ACTIVE_AREA);
  return stated !== null && stated.join() !== area.join();
}

/** Pixels that never see light, inside the picture: [top, left, bottom, right] each. */
export function maskedAreas(tags, width, height) {
  const stated = tags.numbers(50830);
  if (!finite(stated) || stated.length % 4) return [];
  const areas = [];
  for (let i = 0; i < stated.length; i += 4) {
    const [top, left, bottom, right] = stated.slice(i, i + 4).map(Math.trunc);
    areas.push([Math.max(0, top), Math.max(0, left), Math.min(height, bottom), Math.min(width, right)]);
  }
  return areas.filter(([top, left, bottom, right]) => bottom > top && right > left);
}

/** { rows, columns, values }: black in DN, `values[(y * columns + x) * samples + sample]`, and whether it is stated. */
export function black(tags, samples, cfa) {
  const [stated, dims] = [tags.numbers(50714), tags.numbers(50713)];
  const [rows, columns] = dims?.length === 2 ? dims : [1, 1];
  if (!finite(stated)) return { rows: 1, columns: 1, values: new Array(samples).fill(0), isStated: false };
  if (stated.length === rows * columns * samples) return { rows, columns, values: stated, isStated: true };
  // Some phones leave BlackLevelRepeatDim out.
  if (stated.length === 4 && cfa?.length === 2) return { rows: 2, columns: 2, values: stated, isStated: true };
  const mean = stated.reduce((sum, v) => sum + v, 0) / stated.length;
  return { rows: 1, columns: 1, values: new Array(samples).fill(mean), isStated: true };
}

/** BlackLevelDeltaH or V; null where it does not fit the active area. */
export function delta(tags, code, length) {
  const stated = tags.numbers(code);
  return stated?.length === length && finite(stated) ? stated : null;
}

/** The white level of each sample; where several are given for one, the lowest, at which lamps end. */
export function white(tags, samples, bits, isFloat, table) {
  const stated = tags.numbers(50717);
  if (finite(stated) && stated.every((v) => v > 0)) {
    if (samples === 1) return [Math.min(...stated)];
    return Array.from({ length: samples }, (_, i) => stated[i % stated.length]);
  }
  const level = isFloat ? 1 : table === null ? 2 ** bits - 1 : table.reduce((most, v) => Math.max(most, v), 0);
  return new Array(samples).fill(level);
}

/** XYZ to camera for daylight, calibrated, as LibRaw chooses and computes it; null where there is none. */
export function matrix(tags) {
  const nine = (code) => {
    const values = tags.numbers(code);
    return values?.length === 9 && finite(values) ? grid(3, 3, (y, x) => values[3 * y + x]) : null;
  };
  const known = MATRIX_TAGS.map(([m, light, c]) => ({
    matrix: nine(m),
    light: tags.numbers(light)?.[0] ?? 0,
    c: nine(c),
  }))
    .filter((entry) => entry.matrix !== null)
    .reverse(); // Where neither light is daylight LibRaw takes the last.
  if (!known.length) return null;
  const preference = ({ light }) => {
    const place = DAYLIGHTS.indexOf(Math.trunc(light));
    return place < 0 ? DAYLIGHTS.length : place;
  };
  const best = known.reduce((a, b) => (preference(b) < preference(a) ? b : a));
  let result = best.c === null ? best.matrix : times(best.c, best.matrix);
  const balance = tags.numbers(50727);
  if (balance?.length === 3 && finite(balance) && balance.every((v) => v > 0)) {
    result = result.map((row, i) => row.map((v) => balance[i] * v));
  }
  return Math.abs(determinant(result)) > 1e-6 ? result : null;
}

/** Gains from AsShotNeutral, or from AsShotWhiteXY and the matrix; green = 1. */
export function whiteBalance(tags, xyzToCamera) {
  let neutral = tags.numbers(50728);
  const xy = tags.numbers(50729);
  if (neutral === null && xy?.length === 2 && xy[1] > 0 && xyzToCamera !== null) {
    const [x, y] = xy;
    neutral = timesVector(xyzToCamera, [x / y, 1, (1 - x - y) / y]);
  }
  if (neutral?.length !== 3 || !finite(neutral) || neutral.some((v) => v <= 1e-5)) return null;
  return [neutral[1] / neutral[0], 1, neutral[1] / neutral[2]];
}

/** The NoiseProfile tag: variance = shot * x + read, x in 0..1, for R, G, B. Null where it makes no sense. */
export function noiseProfile(pairs) {
  if (![2, 6, 8].includes(pairs?.length) || !pairs.every((v) => v >= 0 && v <= 1)) return null;
  const three = (first) => {
    const values = pairs.filter((_, i) => i % 2 === first);
    if (values.length === 1) return [values[0], values[0], values[0]];
    return values.length === 4 ? [values[0], (values[1] + values[2]) / 2, values[3]] : values;
  };
  const [shotNoise, readNoise] = [three(0), three(1)];
  if (shotNoise.some((v) => v <= 0)) return null;
  return { shot: shotNoise, read: readNoise, source: "the file's NoiseProfile tag" };
}
