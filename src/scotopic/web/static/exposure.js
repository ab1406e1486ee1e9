// How much to amplify: from the user's word, or from the picture's own brightness.

import { ScotopicError } from "./errors.js";
import { meanOf, quantile } from "./statistics.js";

/** {ratio, source}: as told (long over short exposure), else automatic. */
export function decide(mosaic, constants, ratio = null) {
  if (ratio === null) return { ratio: automaticRatio(mosaic, constants), source: "automatic" };
  const [low, high] = constants.exposure.evRange.map((stops) => 2 ** stops);
  if (!(ratio >= low && ratio <= high))
    throw new ScotopicError("internal", `ratio ${ratio} is out of range: from ${low} to ${high}`);
  return { ratio, source: "as told (ratio)" };
}

/** The amplification that makes the picture as bright as photographs commonly are, 1 to 300. */
export function automaticRatio(mosaic, constants) {
  const ratio = 2 ** stopsOf(binnedLight(mosaic, constants), constants);
  return Math.min(Math.max(ratio, 1), constants.exposure.ratioMaxAutomatic);
}

/**
 * The stops that make a picture as bright as photographs commonly are, by the luminance of its blocks, a Float64Array
 * not below 0, 1 = display white; 0 for none.
 */
export function stopsOf(blocks, constants) {
  const k = constants.exposure;
  const light = withoutLamps(blocks, k);
  if (!light.length) return 0;
  const bright = Math.max(quantile(light, k.brightShare), k.floor);
  const byBright = Math.log2(k.brightTarget / bright);
  const byMean = stopsToMean(light, k.meanTarget);
  const [low, high] = k.brightReach;
  return byMean + Math.min(Math.max(byBright - byMean, low), high);
}

/** The light of all blocks but lamps, in order. */
function withoutLamps(light, { lampTimes, lampAbove, lampShare, floor }) {
  if (!light.length) return light;
  const ordered = light.slice().sort();
  const least = lampTimes * Math.max(quantile(ordered, lampAbove), floor);
  const lamps = ordered.reduce((sum, value) => sum + (value > least), 0);
  return ordered.subarray(0, light.length - Math.min(lamps, Math.floor(lampShare * light.length)));
}

/** White-balanced luminance of large blocks, Float64Array: 1 = the sensor's white, clipped below at 0. */
export function binnedLight(mosaic, constants) {
  const k = constants.exposure;
  const { data, width, cfa, wb } = mosaic;
  const size = cfa.length;
  const whole = [Math.floor(mosaic.height / size), Math.floor(width / size)];
  const block = cellsAlong(mosaic, k);
  if (!block) return new Float64Array(0);
  const rows = Math.floor(whole[0] / block);
  const columns = Math.floor(whole[1] / block);
  const light = new Float64Array(rows * columns);
  const counts = countsOf(cfa);
  for (let dy = 0; dy < size; dy++)
    for (let dx = 0; dx < size; dx++) {
      const colour = cfa[dy][dx];
      const black = mosaic.black[dy][dx];
      const weight = (k.luminance[colour] * wb[colour]) / Math.min(...wb) / counts[colour];
      const scale = weight / (mosaic.white - black);
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++) {
          let sum = 0;
          for (let y = 0; y < block; y++) {
            let at = ((row * block + y) * size + dy) * width + column * block * size + dx;
            for (let x = 0; x < block; x++, at += size) sum += data[at];
          }
          light[row * columns + column] += (sum / (block * block) - black) * scale;
        }
    }
  for (let i = 0; i < light.length; i++) light[i] = Math.max(light[i], 0);
  return light;
}

/** How often each colour stands in a cell. */
const countsOf = (cfa) => [0, 1, 2].map((c) => cfa.flat().filter((v) => v === c).length);

/** Cells along a block. */
function cellsAlong({ cfa, height, width }, { blockMin, blocksAlong }) {
  const side = Math.max(blockMin, Math.floor(Math.max(height, width) / blocksAlong));
  const whole = [height, width].map((n) => Math.floor(n / cfa.length));
  return Math.min(Math.max(1, Math.floor(side / cfa.length)), ...whole);
}

/** Whether black's error and noise explain all the light there is, as under a lens cap. */
export function nextToNoLight(mosaic, noise, constants) {
  const k = constants.exposure;
  const { cfa, wb, white, black } = mosaic;
  const counts = countsOf(cfa);
  const gains = k.luminance.map((weight, c) => (weight * wb[c]) / Math.min(...wb));
  const variance = gains.reduce((sum, gain, c) => sum + (gain ** 2 * noise.read[c]) / counts[c], 0);
  const error = (gains.reduce((a, b) => a + b) * k.darkDn) / (white - meanOf(black.flat()));
  const most = binnedLight(mosaic, constants).reduce((a, b) => Math.max(a, b), 0);
  return most <= error + (k.darkSigmas * Math.sqrt(variance)) / cellsAlong(mosaic, k);
}

/** The stops after which the mean of the light, clipped at 1, is `target`. */
function stopsToMean(light, target) {
  let low = -4;
  let high = 20;
  for (let round = 0; round < 40; round++) {
    const middle = (low + high) / 2;
    const gain = 2 ** middle;
    let sum = 0;
    for (const value of light) sum += Math.min(value * gain, 1);
    if (sum / light.length < target) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
