// The recipe: amplify, then denoise and demosaic in one network, and hand on light.

import { forNetwork } from "./balance.js";
import { blackLowered, withBlackLowered } from "./sensor/black.js";
import { ScotopicError } from "./errors.js";
import { decide, nextToNoLight } from "./exposure.js";
import { narrow, widened } from "./half.js";
import { raised } from "./sensor/levels.js";
import { aligned } from "./sensor/laid.js";
import { coloursOf, lateralColour } from "./sensor/lateral.js";
import { linesOff } from "./sensor/lines.js";
import { mended, withoutLines } from "./sensor/mend.js";
import { moveBack } from "./sensor/moved.js";
import { estimate } from "./noise.js";
import { missing, paddedAxis, patternOf } from "./sensor/pattern.js";
import { reused } from "./release.js";
import { asMosaic, hardlyNoisy, takeNoise } from "./sensor/remosaic.js";
import { tiling } from "./run.js";
import { evenedMosaic } from "./sensor/shading.js";
import { Mean, seen, views } from "./views.js";

/**
 * What will be done to a picture: {mosaic, replaced: {hot, lines}, exposure: {ratio, source}, noise: {profile, warning},
 * told, lateral, kept, dark, pale}; hot pixels and lines that are off are replaced, `told` is the white balance that the network works in, `lateral` where the lens has drawn red and blue beside green, `kept` says that finished
 * colours hold hardly any noise and will be kept nearly as they are, `dark` that there is next to no light, `pale` that black is not where the file says.
 */
export function plan(captured, constants, ratio = null) {
  const counted = asMosaic(captured, constants);
  const ofSensor = captured.kind === "mosaic";
  const first = estimate(counted, constants);
  const lines = ofSensor ? linesOff(counted, first.profile, constants) : [];
  const whole = withoutLines(counted, lines);
  const sound = ofSensor ? withBlackLowered(whole, blackLowered(whole, first.profile, constants)) : whole;
  // Lines and black that are off pass for noise, so it is told again without them.
  const noise = sound !== counted ? estimate(sound, constants) : first;
  const { mosaic, hot } = ofSensor ? mended(sound, noise.profile, constants) : { mosaic: counted, hot: 0 };
  // How bright the picture is to be is judged as it will be seen, behind a lens without shading.
  const asSeen = ratio === null && ofSensor && mosaic.shading;
  const seen = asSeen ? { ...mosaic, data: evenedMosaic(mosaic, { whole: true }) } : mosaic;
  const exposure = decide(seen, constants, ratio);
  const kept = captured.kind === "linear" && hardlyNoisy(noise.profile, exposure.ratio, constants);
  const atMost = exposure.source === "automatic" && exposure.ratio >= constants.exposure.ratioMaxAutomatic;
  const dark = atMost && ofSensor && nextToNoLight(mosaic, noise.profile, constants);
  const pale = ofSensor && raised(captured) !== null;
  const told = forNetwork(mosaic, noise.profile, constants);
  const lateral = ofSensor ? lateralColour(mosaic, noise.profile, constants) : null;
  return { mosaic, replaced: { hot, lines }, exposure, noise, told, lateral, kept, dark, pale };
}

/** The name of the model that a mosaic's pattern is for. */
export const modelFor = ({ cfa }, constants) => constants.models[patternOf(cfa, constants).sensor].fast;

/**
 * The graph's inputs beside the mosaic. The graph sees the sensor's true saturation as white, so that lamps are
 * known for what they are; the amplification shrinks alike, and the result keeps its scale. `gains` balance what the
 * graph gives as the camera has it.
 */
export function graphInputs({ mosaic, exposure, noise, told }, constants) {
  const pattern = patternOf(mosaic.cfa, constants);
  const { readElectronsMax } = constants.enhance;
  const black = blackOfPlanes(mosaic, pattern, constants);
  const even = meanBlack(mosaic);
  const scale = (mosaic.white - even) / (mosaic.saturation - even);
  const noises = [0, 1, 2].map((c) => {
    const x = Math.min(0.5, 0.5 / (exposure.ratio * told[c]));
    return believable(noise.profile.shot[c], noise.profile.read[c], x, readElectronsMax);
  });
  const byPlane = (values, factor = 1) => pattern.colourOfPlane.map((colour) => values[colour] * factor);
  return {
    black,
    white: black.map((b) => b + (mosaic.white - b) / scale),
    wb: byPlane(told),
    gains: mosaic.wb.map((gain, c) => gain / told[c]),
    shot: byPlane(
      noises.map(({ shot }) => shot),
      scale,
    ),
    read: byPlane(
      noises.map(({ read }) => read),
      scale * scale,
    ),
    ratio: exposure.ratio / scale,
  };
}

/** Noise of no more read electrons than any sensor has, of the same variance at `x`. */
function believable(shot, read, x, most) {
  if (Math.sqrt(read) <= most * shot) return { shot, read };
  const [share, variance] = [most ** 2, shot * x + read];
  const raised = (2 * variance) / (Math.sqrt(x * x + 4 * share * variance) + x);
  return { shot: raised, read: share * raised * raised };
}

/**
 * The mosaic as the graph wants it, piece by piece: numbers of rows and of columns, in any order, to a Float32Array, in a
 * spare one's memory.
 *
 * The picture begins with the models' phase, is as large as the size multiple wants, has one black level a
 * plane, and black where a value is too far below black to be a count of light.
 */
export function prepared(made, multiple, constants) {
  const { mosaic } = made;
  const { data, width, cfa } = mosaic;
  const pattern = patternOf(cfa, constants);
  const size = cfa.length;
  const [top, left] = missing(cfa, constants);
  const rowOf = paddedAxis(mosaic.height, top, multiple, size);
  const columnOf = paddedAxis(width, left, multiple, size);
  const planes = blackOfPlanes(mosaic, pattern, constants);
  const { lowest, fill } = voids(made, constants);
  const shift = new Float32Array(size * size);
  for (let place = 0; place < size * size; place++) {
    const [y, x] = [Math.floor(place / size), place % size];
    const plane = pattern.planeOfPlace[((y + top) % size) * size + ((x + left) % size)];
    shift[place] = mosaic.black[y][x] - planes[plane];
  }
  const placeOf = columnOf.map((x) => x % size);
  const piece = (rows, columns, spare = null) => {
    const out = reused(Float32Array, spare, rows.length * columns.length);
    let at = 0;
    for (const row of rows) {
      const start = rowOf[row] * width;
      const first = (rowOf[row] % size) * size;
      for (const column of columns) {
        const place = first + placeOf[column];
        const value = data[start + columnOf[column]];
        out[at++] = (value < lowest[place] ? fill[place] : value) - shift[place];
      }
    }
    return out;
  };
  return { height: rowOf.length, width: columnOf.length, top, left, piece };
}

/** For each place of the cell the value below which there is no count of light, and what stands for it. */
function voids({ mosaic, exposure, noise }, constants) {
  const { noLightSigmas, noLight } = constants.enhance;
  const lowest = [];
  const fill = [];
  mosaic.cfa.forEach((row, y) =>
    row.forEach((colour, x) => {
      const black = mosaic.black[y][x];
      const reach = Math.max(
        noLightSigmas * Math.sqrt(noise.profile.read[colour]),
        noLight / (exposure.ratio * mosaic.wb[colour]),
      );
      lowest.push(black - reach * (mosaic.white - black));
      fill.push(Math.max(roundToEven(black), 0));
    }),
  );
  return { lowest: Float64Array.from(lowest), fill: Float64Array.from(fill) };
}

/** The mosaic with black where its values are too far below black to be counts of light. */
function withoutVoids(made, constants) {
  const { data, width, cfa } = made.mosaic;
  const { lowest, fill } = voids(made, constants);
  const size = cfa.length;
  const filled = data.slice();
  for (let i = 0; i < data.length; i++) {
    const place = (Math.floor(i / width) % size) * size + ((i % width) % size);
    if (data[i] < lowest[place]) filled[i] = fill[place];
  }
  return { ...made.mosaic, data: filled };
}

/**
 * The picture that a longer exposure would have given: light, white-balanced by the camera's gains, in halves.
 *
 * {height, width, rgb, plain, wb, clip, ratio, xyzToCamera, orientation}; `rgb` is the network's, `plain` what
 * there is without it, both Uint16Array of three planes. `network.tile` runs the model on one tile;
 * `pixels` bounds it; it looks at each in so many `passes`, and `rgb` is their mean; with `fringes` "remove" red and blue
 * stay upon green where the lens has drawn them beside it, `uponGreen` are those; `progress` is told the share done
 * after each; `go` throws where the work is to stop.
 */
export async function enhance(captured, plan, network, options) {
  const { constants, pixels, passes = 1, fringes = "keep", progress = () => {}, go = () => {} } = options;
  const made = captured.kind === "mosaic" ? { ...plan, mosaic: ofEvenGreens(plan.mosaic) } : plan;
  const { mosaic, exposure } = made;
  const { height, width } = mosaic;
  const name = modelFor(mosaic, constants);
  const card = await network.open(name);
  const inputs = graphInputs(made, constants);
  const laid = made.lateral ? aligned(withoutVoids(made, constants), made.lateral, made.noise.profile, constants) : mosaic;
  const source = prepared({ ...made, mosaic: laid }, card.size_multiple, constants);
  const even = meanBlack(mosaic);
  const clip = (exposure.ratio * (mosaic.saturation - even)) / (mosaic.white - even);
  const ofMosaic = captured.kind === "mosaic";
  const rgb = new Uint16Array(3 * height * width);
  const plain = ofMosaic ? new Uint16Array(3 * height * width) : own(captured, exposure.ratio);
  const { rows, columns } = tiling(source.height, source.width, card, pixels);
  const pattern = patternOf(mosaic.cfa, constants);
  const looks = views(pattern.sensor, passes, constants);
  const mean = looks.length > 1 ? new Mean(looks) : null;
  let done = 0;
  let finite = true;
  let tile = null;
  for (const row of rows)
    for (const column of columns) {
      const cut = {
        top: Math.max(row.start, source.top) - row.readStart,
        left: Math.max(column.start, source.left) - column.readStart,
        bottom: Math.min(row.stop, source.top + height) - row.readStart,
        right: Math.min(column.stop, source.left + width) - column.readStart,
      };
      const place = {
        top: cut.top + row.readStart - source.top,
        left: cut.left + column.readStart - source.left,
        height: cut.bottom - cut.top,
        width: cut.right - cut.left,
      };
      mean?.begin(place);
      for (const look of looks) {
        go();
        const turned = seen(look, [row, column], cut, pattern.cfa.length, card);
        const size = [turned.rows.length, turned.columns.length];
        const counts = source.piece(turned.rows, turned.columns, tile?.mosaic);
        tile = await network.tile(name, counts, size, inputs, turned.cut, captured.monochrome, tile);
        finite &&= tile.finite;
        mean?.add(look, tile.rgb, place);
        if (ofMosaic && look === looks[0]) put(tile.plain, place, plain, height, width);
        progress(++done / (rows.length * columns.length * looks.length));
      }
      mean?.into(tile.rgb);
      put(tile.rgb, place, rgb, height, width);
    }
  mean?.end();
  go();
  if (!finite)
    throw new ScotopicError(
      "engine",
      `${name}: gave no picture, this one's noise or light is beyond what it was made for; amplify less`,
    );
  if (!ofMosaic)
    takeNoise(plain, rgb, { height, width }, made.noise.profile, { ratio: exposure.ratio, wb: mosaic.wb, constants, go });
  const uponGreen = fringes === "remove" ? coloursOf(made.lateral) : [];
  if (fringes === "keep") for (const halves of [rgb, plain]) moveBack(halves, made.lateral, height, width);
  if (captured.shading) {
    // Behind the network, which has learnt noise as sensors have it, the same from corner to corner.
    const gains = (row) => captured.shading.gains(row, row + 1, width);
    for (const halves of [rgb, plain]) evenedHalves(halves, height, width, gains);
  }
  const { wb, xyzToCamera, orientation = 1, pixelAspect = 1 } = captured;
  const about = { wb, clip, ratio: exposure.ratio, xyzToCamera, orientation, pixelAspect, uponGreen };
  return { height, width, rgb, plain, ...about };
}

/** A smaller picture, `factor` times along each side: means of cells, which keep the pattern. */
export function reduced(captured, made, factor) {
  const { data, cfa, width } = captured;
  const size = captured.kind === "mosaic" ? cfa.length : 1;
  const planes = captured.kind === "mosaic" ? 1 : 3;
  const [high, wide] = [captured.height, width].map((n) => Math.floor(n / (size * factor)) * size);
  const out = new Float32Array(planes * high * wide);
  const share = 1 / (factor * factor);
  // What demosaicing made up of its neighbours is as noisy as they are: their mean is less quiet.
  const noiseLeft = captured.kind === "mosaic" ? share : share * Math.min(factor, 3);
  for (let plane = 0; plane < planes; plane++)
    for (let y = 0; y < high; y++) {
      const cellRow = Math.floor(y / size) * factor * size + (y % size);
      for (let x = 0; x < wide; x++) {
        const first = plane * captured.height * width + cellRow * width;
        const start = first + Math.floor(x / size) * factor * size + (x % size);
        let sum = 0;
        for (let j = 0; j < factor; j++)
          for (let i = 0, at = start + j * size * width; i < factor; i++, at += size) sum += data[at];
        out[plane * high * wide + y * wide + x] = sum * share;
      }
    }
  const { shot, read } = made.noise.profile;
  const [shotLeft, readLeft] = [shot, read].map((values) => values.map((v) => v * noiseLeft));
  const quieter = { ...made.noise.profile, shot: shotLeft, read: readLeft };
  return {
    captured: { ...captured, data: out, height: high, width: wide, shading: null },
    noise: { ...made.noise, profile: quieter },
  };
}

/** A quick picture of the whole, of at most about `most` pixels: the same recipe on means of the mosaic. */
export async function preview(captured, made, network, { constants, most, ...rest }) {
  const factor = Math.max(1, Math.ceil(Math.sqrt((captured.height * captured.width) / most)));
  const counted = captured.kind === "mosaic" ? { ...captured, data: made.mosaic.data, black: made.mosaic.black } : captured;
  const small = reduced(counted, made, factor);
  const mosaic = asMosaic(small.captured, constants);
  if (Math.min(mosaic.height, mosaic.width) < 2 * mosaic.cfa.length) return null;
  // Where means of cells are looked at, red and blue lie upon green.
  const quick = { ...made, mosaic, noise: small.noise, lateral: null };
  const light = await enhance(small.captured, quick, network, { constants, pixels: 2 * most, ...rest });
  if (captured.shading) {
    const middle = (n) => Math.floor((n + 0.5) * factor);
    const gains = (row) => {
      const all = captured.shading.gains(middle(row), middle(row) + 1, captured.width);
      return Float32Array.from({ length: 3 * light.width }, (_, i) => {
        return all[Math.floor(i / light.width) * captured.width + middle(i % light.width)];
      });
    };
    for (const halves of [light.rgb, light.plain]) evenedHalves(halves, light.height, light.width, gains);
  }
  return light;
}

/** The mosaic without what the lens's shading tells of the two greens apart: it would be taken for a pattern. */
function ofEvenGreens(mosaic) {
  return mosaic.shading ? { ...mosaic, data: evenedMosaic(mosaic, { whole: false }) } : mosaic;
}

/** Light in halves times the gains of each row, in place: `gains` gives three colours of a row after each other. */
function evenedHalves(halves, height, width, gains) {
  for (let row = 0; row < height; row++) {
    const of = gains(row);
    for (let c = 0; c < 3; c++) {
      const at = (c * height + row) * width;
      const light = widened(halves.subarray(at, at + width));
      for (let x = 0; x < width; x++) light[x] *= of[c * width + x];
      narrow(light, halves, at);
    }
  }
}

/** What came with finished colours keeps its own in place of the plain demosaic: amplified and balanced halves. */
function own({ data, wb, ratio = 1 }, amplification) {
  const halves = new Uint16Array(data.length);
  const plane = data.length / 3;
  for (let c = 0; c < 3; c++) {
    const gain = (wb[c] * amplification) / ratio;
    narrow(data.subarray(c * plane, (c + 1) * plane).map((v) => v * gain), halves, c * plane);
  }
  return halves;
}

/** Rows of a tile's three planes into the picture's. */
function put(tile, place, target, height, width) {
  const size = place.height * place.width;
  for (let c = 0; c < 3; c++)
    for (let y = 0; y < place.height; y++) {
      const from = c * size + y * place.width;
      target.set(tile.subarray(from, from + place.width), (c * height + place.top + y) * width + place.left);
    }
}

/** The mean black level of each plane, in DN. */
function blackOfPlanes(mosaic, pattern, constants) {
  const size = pattern.cfa.length;
  const [top, left] = missing(mosaic.cfa, constants);
  const sums = pattern.colourOfPlane.map(() => [0, 0]);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const sum = sums[pattern.planeOfPlace[((y + top) % size) * size + ((x + left) % size)]];
      sum[0] += mosaic.black[y][x];
      sum[1]++;
    }
  return sums.map(([sum, count]) => sum / count);
}

function meanBlack(mosaic) {
  const all = mosaic.black.flat();
  return all.reduce((a, b) => a + b, 0) / all.length;
}

/** As Python rounds: halves to the even neighbour. */
function roundToEven(value) {
  const whole = Math.round(value);
  return whole - value === 0.5 && whole % 2 ? whole - 1 : whole;
}

