// White balance: the one a network works in, and the one chosen after enhancing: the camera's, judged from the clean
// picture, daylight's, or given.

import { ScotopicError } from "./errors.js";
import { stopsOf } from "./exposure.js";
import { LIGHT_OF_HALF } from "./half.js";
import { inverse, timesVector } from "./matrix.js";
import { meanOf } from "./statistics.js";

/** Kelvin that the sliders reach; candle light to blue sky, and where the formula below holds. */
export const TEMPERATURES = [1700, 15000];

/** A tint's units in CIE 1960 u, v, as editors count them: above 0 the light is greener, and the picture turned pinker. */
const TINTS_PER_UV = 3000;

/** The white balance [r, g, b] to enhance a mosaic in: the camera's, or in coloured light one nearer to neutral. */
export function forNetwork(mosaic, noise, constants) {
  const { castLeast, castFarthest } = constants.balance;
  const casts = meanLight(mosaic, noise, constants).map((light) => -Math.log(light));
  const middle = meanOf(casts);
  const spread = Math.max(...casts) - Math.min(...casts);
  const share = spread ? Math.max(0, 1 - Math.log(castLeast) / spread) : 0;
  const most = Math.log(castFarthest);
  const steps = casts.map((cast) => Math.exp(Math.min(Math.max(share * (cast - middle), -most), most)));
  return mosaic.wb.map((gain, c) => gain * steps[c]);
}

/** The mean light of each colour, balanced by the camera, in shares of the sensor's range; all as much above 0 as black
 * may be off, and without cells that are saturated. */
function meanLight(mosaic, noise, { balance }) {
  const { cfa, black, white, wb } = mosaic;
  const unlit = meanCell(mosaic, balance, mosaic.saturation) ?? meanCell(mosaic, balance);
  const sums = [0, 0, 0];
  const counts = [0, 0, 0];
  cfa.forEach((row, y) => row.forEach((colour, x) => {
    sums[colour] += (unlit[y * row.length + x] - black[y][x]) / (white - black[y][x]);
    counts[colour]++;
  }));
  const span = white - meanOf(black.flat());
  const least = Math.max(balance.blackOffDn / span, balance.blackOffSigmas * Math.sqrt(Math.max(...noise.read)));
  return sums.map((sum, c) => Math.max(sum / counts[c], 0) * wb[c] + least * Math.max(...wb));
}

/** The mean of the cells in which no value reaches `limit`, or of all cells, place by place; null where there is none. */
function meanCell({ data, width, height, cfa }, { castValues }, limit = null) {
  const size = cfa.length;
  const step = size * Math.max(1, Math.floor(data.length / castValues));
  const [rows, columns] = [height, width].map((n) => Math.floor(n / size) * size);
  const sums = new Float64Array(size * size);
  let cells = 0;
  for (let top = 0; top < rows; top += step)
    for (let left = 0; left < columns; left += size) {
      let reached = false;
      for (let y = 0; limit !== null && y < size && !reached; y++)
        for (let x = 0; x < size && !reached; x++) reached = data[(top + y) * width + left + x] >= limit;
      if (reached) continue;
      cells++;
      for (let y = 0; y < size; y++)
        for (let x = 0; x < size; x++) sums[y * size + x] += data[(top + y) * width + left + x];
    }
  return cells ? sums.map((sum) => sum / cells) : null;
}

/**
 * The gains [r, 1, b] that a choice asks for: "camera", "auto", "daylight", [r, g, b] gains, [r, b] factors on the
 * camera's own, or {temperature_k, tint}; where that has `gains` it is known already what it comes to. Throws for
 * what asks for the camera's colours where they are not known.
 */
export function gainsFor(choice, light, constants, strength = 1) {
  const { wb, xyzToCamera } = light;
  if (choice === "auto") return ofTheBrightest(light, constants, strength) ?? wb;
  if (choice === "daylight") return gainsOfLight(constants.colour.d65Xyz, known(xyzToCamera), constants);
  if (Array.isArray(choice) && choice.length === 3) return checked(choice, constants);
  if (Array.isArray(choice)) return within([wb[0] * choice[0], 1, wb[2] * choice[1]], constants);
  if (choice?.gains) return checked(choice.gains, constants);
  if (choice?.temperature_k)
    return gainsOfLight(xyzOfTemperature(choice.temperature_k, choice.tint ?? 0), known(xyzToCamera), constants);
  return wb;
}

function known(xyzToCamera) {
  if (xyzToCamera) return xyzToCamera;
  const words = "the camera's colour matrix is not known, so neither is the white of daylight or of a temperature";
  throw new ScotopicError("internal", `${words}: choose the camera's white balance, or the automatic one`);
}

/**
 * What the choice `of` came to: {of, gains, temperature_k, tint, coloursKnown}, for sliders to stand at. The
 * temperature is null where the camera's colours are not known, or the gains are no light's.
 */
export function described(gains, { xyzToCamera }, of) {
  const coloursKnown = Boolean(xyzToCamera);
  const seen = xyzToCamera && timesVector(inverse(xyzToCamera), gains.map((g) => 1 / g));
  const usable = seen && seen.every(Number.isFinite) && seen[0] + seen[1] + seen[2] > 0;
  if (!usable) return { of, gains, temperature_k: null, tint: 0, coloursKnown };
  return { of, gains, ...temperatureOfXyz(seen), coloursKnown };
}

function gainsOfLight(xyz, xyzToCamera, constants) {
  const seen = timesVector(xyzToCamera, xyz);
  if (!seen.every((v) => v > 0)) return [1, 1, 1];
  return within([seen[1] / seen[0], 1, seen[1] / seen[2]], constants);
}

/**
 * The gains that make the brightest surfaces grey; null where the picture holds too little light. The main direction
 * of the brightest block means, after Cheng, Prasad and Brown (2014).
 */
export function ofTheBrightest(light, constants, strength = 1) {
  const k = constants.balance;
  const means = blockMeans(light, k.blocks, strength);
  const count = means.length / 3;
  // What passes for a lamp is told by the picture, however bright it is.
  const usual = 2 ** stopsOf(luminanceOf(means, light.wb, constants), constants);
  const [low, high] = k.usable.map((limit) => limit / usual);
  const usable = [];
  for (let i = 0; i < count; i++) {
    const value = [means[3 * i], means[3 * i + 1], means[3 * i + 2]];
    const strongest = Math.max(...value);
    const fits = strongest > low && strongest < Math.min(high, 0.9 * light.clip);
    if (fits && Math.min(...value) > 0) usable.push(value);
  }
  if (usable.length < k.fewest) return null;
  const mean = [0, 1, 2].map((c) => usable.reduce((sum, v) => sum + v[c], 0) / usable.length);
  const along = (v) => v[0] * mean[0] + v[1] * mean[1] + v[2] * mean[2];
  const chosen = Math.max(k.fewest, roundToEven(k.brightest * usable.length));
  const brightest = usable.sort((a, b) => along(b) - along(a)).slice(0, chosen);
  const main = mainDirection(brightest).map(Math.abs);
  if (!main.every((v) => v > 0)) return null;
  const steps = main.map((v) => Math.min(Math.max(main[1] / v, 1 / k.farthest), k.farthest));
  const gains = light.wb.map((g, c) => g * steps[c]);
  return within([gains[0] / gains[1], 1, gains[2] / gains[1]], constants);
}

function luminanceOf(means, wb, { exposure }) {
  const least = Math.min(...wb);
  return Float64Array.from({ length: means.length / 3 }, (_, i) => {
    const sum = exposure.luminance.reduce((all, weight, c) => all + weight * means[3 * i + c], 0);
    return Math.max(sum / least, 0);
  });
}

/** Means of square blocks, R, G, B after each other, of light balanced by the camera's gains. */
function blockMeans(light, blocks, strength) {
  const { height, width, rgb, plain } = light;
  light.means ??= [rgb, plain].map((halves) => {
    const size = Math.max(1, Math.ceil(Math.max(height, width) / blocks));
    const [rows, columns] = [Math.floor(height / size), Math.floor(width / size)];
    const means = new Float64Array(3 * rows * columns);
    for (let c = 0; c < 3; c++)
      for (let y = 0; y < rows * size; y++) {
        let at = (c * height + y) * width;
        for (let column = 0; column < columns; column++) {
          let sum = 0;
          for (let x = 0; x < size; x++) sum += LIGHT_OF_HALF[halves[at++]];
          means[3 * (Math.floor(y / size) * columns + column) + c] += sum / (size * size);
        }
      }
    return means;
  });
  const [clean, raw] = light.means;
  return strength === 1 ? clean : clean.map((v, i) => raw[i] + strength * (v - raw[i]));
}

/** The direction along which vectors reach farthest from 0, by power iteration. */
function mainDirection(vectors) {
  const product = [0, 1, 2].map((i) => [0, 1, 2].map((j) => vectors.reduce((sum, v) => sum + v[i] * v[j], 0)));
  let main = [1, 1, 1];
  for (let round = 0; round < 200; round++) {
    const next = timesVector(product, main);
    const length = Math.hypot(...next);
    main = next.map((v) => v / length);
  }
  return main;
}

/** Three gains scaled so that green is 1; throws for what cannot be gains. */
function checked(gains, constants) {
  if (!gains.every((g) => Number.isFinite(g) && g > 0))
    throw new ScotopicError("internal", `white balance ${gains}: three gains above 0 are needed, for R, G, B`);
  return within([gains[0] / gains[1], 1, gains[2] / gains[1]], constants);
}

function within(gains, { balance }) {
  return gains.map((g) => Math.min(Math.max(g, balance.gainMin), balance.gainMax));
}

/** The light of a black body at some kelvin, moved off the line of those by a tint, as XYZ. */
function xyzOfTemperature(kelvin, tint) {
  const { u, v, across } = locus(kelvin);
  const off = tint / TINTS_PER_UV;
  return xyzOfUv(u + off * across[0], v + off * across[1]);
}

function temperatureOfXyz([x, y, z]) {
  const sum = x + 15 * y + 3 * z;
  const [u, v] = [(4 * x) / sum, (6 * y) / sum];
  // Reciprocal temperatures are about evenly far apart; the distance has one minimum along them.
  let [low, high] = TEMPERATURES.map((t) => 1e6 / t).sort((a, b) => a - b);
  const distance = (mired) => {
    const at = locus(1e6 / mired);
    return Math.hypot(at.u - u, at.v - v);
  };
  for (let round = 0; round < 60; round++) {
    const [a, b] = [low + (high - low) / 3, high - (high - low) / 3];
    if (distance(a) < distance(b)) high = b;
    else low = a;
  }
  const kelvin = 2e6 / (low + high);
  const at = locus(kelvin);
  const off = (u - at.u) * at.across[0] + (v - at.v) * at.across[1];
  return { temperature_k: kelvin, tint: off * TINTS_PER_UV };
}

/** CIE 1960 u, v of a black body by Krystek's formula (1985), and the direction across the line, towards green. */
function locus(kelvin) {
  const place = (t) => [
    (0.860117757 + 1.54118254e-4 * t + 1.28641212e-7 * t * t) / (1 + 8.42420235e-4 * t + 7.08145163e-7 * t * t),
    (0.317398726 + 4.22806245e-5 * t + 4.20481691e-8 * t * t) / (1 - 2.89741816e-5 * t + 1.61456053e-7 * t * t),
  ];
  const [u, v] = place(kelvin);
  const [warmer, colder] = [place(kelvin * 0.999), place(kelvin * 1.001)];
  const along = [warmer[0] - colder[0], warmer[1] - colder[1]];
  const length = Math.hypot(...along);
  return { u, v, across: [-along[1] / length, along[0] / length] };
}

function xyzOfUv(u, v) {
  const scale = 2 * u - 8 * v + 4;
  const [x, y] = [(3 * u) / scale, (2 * v) / scale];
  return [x / y, 1, (1 - x - y) / y];
}

function roundToEven(value) {
  const whole = Math.round(value);
  return whole - value === 0.5 && whole % 2 ? whole - 1 : whole;
}
