// Matrices and curves: from camera RGB to what a display shows.

import { inverse, times } from "./matrix.js";

const IDENTITY = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
];

/**
 * The matrix from white-balanced camera RGB to linear sRGB, as LibRaw does it: camera from sRGB, each row scaled to
 * sum 1 so that white stays white, inverted. Unity where nobody knows the camera's colours.
 */
export function cameraToSrgb(xyzToCamera, { colour }) {
  if (!xyzToCamera) return IDENTITY;
  const toCamera = times(xyzToCamera, colour.xyzFromSrgb);
  return inverse(toCamera.map((row) => row.map((v) => v / row.reduce((a, b) => a + b))));
}

/** Whether a camera can see colours that the display does not show, by the matrix between them, nine numbers. */
export function leavesGamut(toShown, { colour }) {
  return Math.min(...toShown) < colour.gamutLeft;
}

/**
 * The shoulder as a function of light: it rolls off above its start so that `brightest` becomes just 1, with no
 * kink. Logarithmic: each doubling of light gets about the same step, as lamps are judged by eye.
 */
export function shoulder(brightest, { colour }) {
  const start = colour.shoulderStarts;
  const room = 1 - start;
  const most = (brightest - start) / room;
  // bend solves log1p(bend * most) / bend = 1 with slope 1 at the start.
  let [low, high, bend] = [1e-6, 1e3, 0];
  for (let round = 0; round < 80; round++) {
    bend = (low + high) / 2;
    if (Math.log1p(bend * most) / bend > 1) low = bend;
    else high = bend;
  }
  return (light) => (light <= start ? light : start + (room * Math.log1p((bend * (light - start)) / room)) / bend);
}

/** How much white, 0..1, is mixed into light by its strongest colour, as a function of that: a lamp's core is white. */
export function towardsWhite(brightest, { colour }) {
  const { shoulderStarts, lampsFrom, whitens } = colour;
  const all = Math.log(Math.max(brightest, lampsFrom) / shoulderStarts);
  return (strongest) => Math.min(Math.log(Math.max(strongest, shoulderStarts) / shoulderStarts) / all, 1) ** whitens;
}
