// Light to what a display shows: white balance, matrix, shoulder, curve, and the right way up.

import { cameraToSrgb, leavesGamut, shoulder, towardsWhite } from "./colour.js";

/** Tables of the shoulder, by the light at which it ends: few serve, as that comes in quarters of a stop. */
const shoulders = new Map();
let curve = null;

/**
 * What `developed` needs of a picture and its settings, worked out once.
 *
 * `light` is what `enhance` gives; `gains` the white balance wanted (R, G, B), `gain` what the exposure is
 * multiplied by beside; `look` "natural", with a soft shoulder and a soft edge of the gamut, or "libraw".
 */
export function developer(light, { gains, gain = 1, look = "natural" }, constants) {
  const { lightMax } = constants.develop;
  const least = Math.min(...gains);
  const clip = light.clip * gain;
  const natural = look === "natural";
  // In quarters of a stop, rounded down, so that the sensor's end is wholly white.
  const brightest = Math.min(lightMax, 2 ** (Math.floor(4 * Math.log2(Math.max(clip, 1))) / 4));
  const matrix = Float64Array.from(cameraToSrgb(light.xyzToCamera, constants).flat());
  return {
    matrix,
    // Light is kept balanced by the camera's gains; LibRaw scales so that the smallest gain is 1.
    gains: gains.map((g, c) => (g / light.wb[c] / least) * gain),
    // A saturated pixel counts the same in all colours; balanced it would be violet. What all colours can reach is
    // neutral.
    ceiling: natural ? clip : Math.min(1, clip),
    gamutEdge: natural && leavesGamut(matrix, constants) ? constants.colour.gamutEdge : -Infinity,
    hueHeld: constants.colour.hueHeld,
    starts: natural ? constants.colour.shoulderStarts : Infinity,
    ...(natural ? shoulderTables(brightest, constants) : {}),
    lightMax,
    shown: curveTable(constants),
  };
}

/**
 * Develops `count` pixels: `light` are three Float32Arrays of R, G and B, balanced by the camera; `out` gets them
 * from `at` on, `step` bytes a pixel (3 for RGB; 4 for RGBA, whose last is left alone).
 */
export function developed(developer, light, count, out, at = 0, step = 3) {
  const { gains, ceiling, gamutEdge, hueHeld, starts, lightMax, rolled, stays, shown, matrix } = developer;
  const [m0, m1, m2, m3, m4, m5, m6, m7, m8] = matrix;
  const [gainR, gainG, gainB] = gains;
  const [reds, greens, blues] = light;
  const scale = shown.length - 1;
  const entry = rolled ? (rolled.length - 1) / Math.sqrt(lightMax) : 0;
  for (let i = 0; i < count; i++, at += step) {
    let r = reds[i] * gainR;
    let g = greens[i] * gainG;
    let b = blues[i] * gainB;
    if (r > ceiling) r = ceiling;
    if (g > ceiling) g = ceiling;
    if (b > ceiling) b = ceiling;
    let x = m0 * r + m1 * g + m2 * b;
    let y = m3 * r + m4 * g + m5 * b;
    let z = m6 * r + m7 * g + m8 * b;
    const most = x > y ? (x > z ? x : z) : y > z ? y : z;
    const least = x < y ? (x < z ? x : z) : y < z ? y : z;
    if (most > 0 && least < gamutEdge * most) {
      // A colour below the edge becomes edge^2 / (2 edge - colour), above 0 however far outside it was. Two ways are
      // mixed: each colour by itself, which stays dark and quiet, and the weakest, the others moved with it in
      // proportion, which holds the hue.
      const edge = gamutEdge * most;
      const held = (hueHeld * (most - (edge * edge) / (2 * edge - least))) / (most - least);
      const white = (hueHeld - held) * most;
      const each = 1 - hueHeld;
      x = (x < edge ? (edge * edge) / (2 * edge - x) : x) * each + x * held + white;
      y = (y < edge ? (edge * edge) / (2 * edge - y) : y) * each + y * held + white;
      z = (z < edge ? (edge * edge) / (2 * edge - z) : z) * each + z * held + white;
    }
    if (x > starts || y > starts || z > starts) {
      // The strongest colour follows the shoulder; the others keep their place between it and the weakest, which is
      // the hue. How far they lie apart is the mean of two ways: as if each had followed the shoulder, and in
      // proportion to the strongest. The nearer to the sensor's end, the more white is mixed in.
      x = x < 0 ? 0 : x > lightMax ? lightMax : x;
      y = y < 0 ? 0 : y > lightMax ? lightMax : y;
      z = z < 0 ? 0 : z > lightMax ? lightMax : z;
      const strongest = x > y ? (x > z ? x : z) : y > z ? y : z;
      const weakest = x < y ? (x < z ? x : z) : y < z ? y : z;
      const place = (Math.sqrt(strongest) * entry + 0.5) | 0;
      const top = rolled[place];
      const apart = (top - rolled[(Math.sqrt(weakest) * entry + 0.5) | 0]) / (weakest - strongest - 1e-6);
      const spread = (apart - top / strongest) * -0.5 * stays[place];
      x = (x - strongest) * spread + top;
      y = (y - strongest) * spread + top;
      z = (z - strongest) * spread + top;
    }
    out[at] = shown[x > 0 ? (x < 1 ? (Math.sqrt(x) * scale + 0.5) | 0 : scale) : 0];
    out[at + 1] = shown[y > 0 ? (y < 1 ? (Math.sqrt(y) * scale + 0.5) | 0 : scale) : 0];
    out[at + 2] = shown[z > 0 ? (z < 1 ? (Math.sqrt(z) * scale + 0.5) | 0 : scale) : 0];
  }
}

/** By the square root of light: the shoulder, and the share of colour that stays by the strongest's light. */
function shoulderTables(brightest, constants) {
  const found = shoulders.get(brightest);
  if (found) return found;
  const { shoulderSize, lightMax } = constants.develop;
  const [roll, whiten] = [shoulder(brightest, constants), towardsWhite(brightest, constants)];
  const tables = { rolled: new Float32Array(shoulderSize), stays: new Float32Array(shoulderSize) };
  for (let i = 0; i < shoulderSize; i++) {
    const light = (i / (shoulderSize - 1)) ** 2 * lightMax;
    tables.rolled[i] = Math.min(roll(light), 1);
    tables.stays[i] = 1 - whiten(light);
  }
  shoulders.set(brightest, tables);
  return tables;
}

/** Display values by the square root of light in 0..1, which spends its entries on the shadows. */
function curveTable({ develop: { tableSize, shownFrom } }) {
  if (curve) return curve;
  curve = new Uint8Array(tableSize);
  for (const from of shownFrom) for (let i = from; i < tableSize; i++) curve[i]++;
  return curve;
}

/** [width, height] of a picture that stands upright, of square pixels. */
export function uprightSize({ height, width, orientation = 1, pixelAspect = 1 }) {
  const square = Math.abs(pixelAspect - 1) < 0.005;
  const wide = square || pixelAspect < 1 ? width : Math.round(width * pixelAspect);
  const high = square || pixelAspect > 1 ? height : Math.round(height / pixelAspect);
  return orientation > 4 ? [high, wide] : [wide, high];
}

/**
 * Where an upright picture's pixels come from: sensor column = x0 + xx * X + xy * Y, row = y0 + yx * X + yy * Y, for
 * a sensor of `width` by `height`; EXIF orientation 1 to 8.
 */
export function turning(orientation, width, height) {
  const [right, bottom] = [width - 1, height - 1];
  const map = (x0, xx, xy, y0, yx, yy) => ({ x0, xx, xy, y0, yx, yy });
  switch (orientation) {
    case 2:
      return map(right, -1, 0, 0, 0, 1);
    case 3:
      return map(right, -1, 0, bottom, 0, -1);
    case 4:
      return map(0, 1, 0, bottom, 0, -1);
    case 5:
      return map(0, 0, 1, 0, 1, 0);
    case 6:
      return map(0, 0, 1, bottom, -1, 0);
    case 7:
      return map(right, 0, -1, bottom, -1, 0);
    case 8:
      return map(right, 0, -1, 0, 1, 0);
    default:
      return map(0, 1, 0, 0, 0, 1);
  }
}
