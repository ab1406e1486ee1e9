/** Linear light to a LinearRaw DNG: camera RGB before white balance, 16-bit integers, black 0.
 *
 * Mirrors `scotopic.dng.write` and `scotopic.dng.light`. Nothing of full size is held beside what is written. */

import { ScotopicError } from "../errors.js";
import { directoryBytes, directoriesOf, withoutGps } from "../metadata.js";
import { inverse } from "../matrix.js";
import { ASCII, BYTE, LONG, RATIONAL, SHORT, SRATIONAL, UNDEFINED } from "../tiff.js";
import { NO_ORIGIN, lensFor } from "./origin.js";
import { encoded, xmpPacket } from "../write.js";

/** The largest value of a 16-bit integer, which stands for display white where no light exceeds it. */
const TOP = 65535;

/** Light is halved at most so often to fit in: 64 times display white. */
const HALVINGS_MAX = 6;

/** So few pixels above all others are no lamp; they are so many times brighter than the brightest after them. */
const SPECKS = 8;
const SPECK_ABOVE = 2;

const ROWS = 64;
const THUMBNAIL_SIDE = 256;
const PREVIEW_QUALITY = 90;
const [LINEAR_RAW, RGB, YCBCR, D65, JPEG] = [34892, 2, 6, 21, 7];

/** PreviewColorSpace. */
const SRGB_PREVIEW = 2;

/** Makers whose name EXIF spells otherwise than the profiles of editors do. */
const MAKERS = ["Canon", "Fujifilm", "Leica", "Nikon", "Olympus", "Panasonic", "Pentax", "Samsung", "Sony"];

const short = (...values) => ({ type: SHORT, values });
const long = (...values) => ({ type: LONG, values });
const ascii = (values) => ({ type: ASCII, values });
const bytes = (values) => ({ type: BYTE, values: Uint8Array.from(values) });
const rational = (...values) => ({ type: RATIONAL, values: values.map((v) => fraction(v)) });
const srational = (...values) => ({ type: SRATIONAL, values: values.map((v) => fraction(v)) });

/** Write a DNG: { parts, size }, the parts in order for a Blob.
 *
 * `light(top, count)` gives (or promises) planes (3, count, width) of amplified light, after white balance 1 is
 * display white; it is asked for twice. `shown(top, count)` gives RGB bytes of the same picture rendered, of
 * `shownSize` [width, height], which differs where pixels are not square. Both lie as the sensor saw them. `capture` is
 * what `read` gave, with `wb` the balance used and `clip` where the sensor saturated, in light. `fileName` is the
 * source's, `strength` how much of its noise was removed; the colours `uponGreen` were drawn beside it by the lens.
 * `onRow(share)` hears of progress. Throws memory. */
export async function linearDng(
  light,
  shown,
  width,
  height,
  {
    capture, clip, software, shownSize = [width, height], fileName = "", strength = 1, uponGreen = [], stripGps = false,
    onRow = null,
  },
) {
  const scaling = await scalingOf(light, width, height, clip);
  const [wide, high] = shownSize;
  const thumbnail = new Thumbnail(wide, high);
  const rows = async (top, count) => {
    const rgb = await shown(top, count);
    thumbnail.add(rgb, top, count);
    onRow?.((0.5 * (top + count)) / high);
    return rgb;
  };
  const preview = await encoded(rows, wide, high, PREVIEW_QUALITY);
  const strips = await stripsOf(light, width, height, scaling, (share) => onRow?.(0.5 + 0.5 * share));
  const exif = stripGps ? withoutGps(capture.exif) : capture.exif;
  const known = { capture, exif, scaling, software, fileName, strength, width, height, shownSize, uponGreen };
  const heads = directories({ ...known, thumbnail, preview, strips });
  // The preview last: its length may be odd, where TIFF wants what follows at an even place.
  const parts = [...heads, thumbnail.bytes(), ...strips, ...preview.parts];
  return { parts, size: parts.reduce((sum, part) => sum + part.length, 0) };
}

/** { halvings, white }: light * TOP / 2**halvings, at most `white`; as much of the range as the light fills. */
async function scalingOf(light, width, height, clip) {
  // The brightest pixels, with one more than may be specks.
  let brightest = [];
  for (let top = 0; top < height; top += ROWS) {
    const count = Math.min(ROWS, height - top);
    const [planes, size] = [await light(top, count), count * width];
    const least = brightest.length > SPECKS ? brightest[0] : 1;
    for (let i = 0; i < size; i++) {
      const most = Math.max(planes[i], planes[size + i], planes[2 * size + i]);
      if (most > least) brightest.push(most);
    }
    brightest = brightest.sort((a, b) => a - b).slice(-SPECKS - 1);
  }
  let top = 1;
  if (brightest.length > SPECKS) {
    const [usual, most] = [brightest[0], brightest[SPECKS]];
    top = most > SPECK_ABOVE * usual ? usual : most;
  }
  top = Math.min(top, clip, 2 ** HALVINGS_MAX);
  const halvings = Math.max(0, Math.ceil(Math.log2(top)));
  return { halvings, white: Math.max(Math.round((top / 2 ** halvings) * TOP), 1) };
}

/** The light as it is stored, ROWS rows in a strip.
 *
 * Where it is halved the rest is rounded up or down by chance, by its size, so that dark gradients do not turn into
 * steps; the same picture gives the same file. */
async function stripsOf(light, width, height, { halvings, white }, onRow) {
  const scale = TOP / 2 ** halvings;
  const strips = [];
  let seed = 1;
  const chance = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  for (let top = 0; top < height; top += ROWS) {
    const count = Math.min(ROWS, height - top);
    const [planes, size] = [await light(top, count), count * width];
    const strip = new Uint8Array(6 * size);
    const view = new DataView(strip.buffer);
    for (let i = 0; i < size; i++) {
      for (let colour = 0; colour < 3; colour++) {
        const value = planes[colour * size + i] * scale;
        const whole = halvings ? Math.floor(value + chance()) : Math.round(value);
        view.setUint16(6 * i + 2 * colour, Math.min(Math.max(whole, 0), white), true);
      }
    }
    strips.push(strip);
    onRow((top + count) / height);
  }
  return strips;
}

/** Everything before the pixels: the head and all directories. */
function directories({ thumbnail, preview, strips, ...known }) {
  const { capture, exif, scaling, software, fileName, strength, width, height, shownSize, uponGreen } = known;
  const { origin = NO_ORIGIN, orientation = 1, pixelAspect = 1 } = capture;
  const lens = lensFor(origin, height, width, uponGreen);
  const { inner, gps } = directoriesOf(exif, false);
  const main = new Map([
    ...[...exif.main].filter(([, { type }]) => type === ASCII || type === SHORT),
    [254, long(1)],
    [256, long(thumbnail.width)],
    [257, long(thumbnail.height)],
    [258, short(8, 8, 8)],
    [259, short(1)],
    [262, short(RGB)],
    [273, long(0)],
    [274, short(orientation)],
    [277, short(3)],
    [278, long(thumbnail.height)],
    [279, long(thumbnail.bytes().length)],
    [284, short(1)],
    [305, ascii(software)],
    [330, long(0, 0)],
    [700, bytes(xmpPacket(exif, true, software))],
    [0x8769, long(0)],
    [50706, bytes([1, 4, 0, 0])],
    // DNG 1.3 brought the opcodes.
    [50707, bytes([1, lens ? 3 : 1, 0, 0])],
    [50708, ascii(origin.camera || cameraName(capture.make, capture.model))],
    [50728, rational(...capture.wb.map((gain) => 1 / gain))],
    [50730, srational(Math.log2(scaling.white / TOP) + scaling.halvings)],
    [50935, rational(strength)],
    ...(origin.tags.size ? origin.tags : [[50721, srational(...matrixOf(capture).flat())], [50778, short(D65)]]),
  ]);
  if (fileName) main.set(50827, ascii(fileName));
  if (gps.size) main.set(0x8825, long(0));
  const raw = new Map([
    [254, long(0)],
    [256, long(width)],
    [257, long(height)],
    [258, short(16, 16, 16)],
    [259, short(1)],
    [262, short(LINEAR_RAW)],
    [273, long(...strips.map(() => 0))],
    [277, short(3)],
    [278, long(ROWS)],
    [279, long(...strips.map((strip) => strip.length))],
    [284, short(1)],
    [50713, short(1, 1)],
    [50714, short(0, 0, 0)],
    [50717, short(scaling.white, scaling.white, scaling.white)],
    [50718, rational(Math.max(pixelAspect, 1), Math.max(1 / pixelAspect, 1))],
    [50719, long(0, 0)],
    [50720, long(width, height)],
  ]);
  if (lens) raw.set(51022, { type: UNDEFINED, values: lens });
  const shown = new Map([
    [254, long(1)],
    [256, long(shownSize[0])],
    [257, long(shownSize[1])],
    [258, short(8, 8, 8)],
    [259, short(JPEG)],
    [262, short(YCBCR)],
    [273, long(0)],
    [277, short(3)],
    [278, long(shownSize[1])],
    [279, long(preview.size)],
    [284, short(1)],
    [530, short(1, 1)],
    [50970, long(SRGB_PREVIEW)],
  ]);
  const head = Uint8Array.from([0x49, 0x49, 42, 0, 8, 0, 0, 0]);
  const order = [main, raw, shown, inner, ...(gps.size ? [gps] : [])];
  const lengths = order.map((tags) => directoryBytes(tags, 0).length);
  const starts = lengths.map((_, i) => lengths.slice(0, i).reduce((sum, n) => sum + n, head.length));
  let at = head.length + lengths.reduce((sum, n) => sum + n, 0);
  const place = (length) => (at += length) - length;
  main.set(273, long(place(thumbnail.bytes().length)));
  raw.set(273, long(...strips.map((strip) => place(strip.length))));
  shown.set(273, long(place(preview.size)));
  if (at > 2 ** 32 - 1) throw new ScotopicError("memory", "a DNG holds at most 4 GB");
  main.set(330, long(starts[1], starts[2])).set(0x8769, long(starts[3]));
  if (gps.size) main.set(0x8825, long(starts[4]));
  return [head, ...order.map((tags, i) => directoryBytes(tags, starts[i]))];
}

/** XYZ to camera RGB before white balance; unknown cameras are taken for sRGB. */
function matrixOf({ xyzToCamera, wb }) {
  if (xyzToCamera) return xyzToCamera;
  const fromSrgb = [
    [0.412453, 0.35758, 0.180423],
    [0.212671, 0.71516, 0.072169],
    [0.019334, 0.119193, 0.950227],
  ];
  return inverse(fromSrgb).map((row, i) => row.map((v) => v / wb[i]));
}

/** The name under which editors look for a camera's profile. */
export function cameraName(make, model) {
  const maker = MAKERS.find((one) => make.toLowerCase().startsWith(one.toLowerCase())) ?? make.trim();
  let rest = model.trim();
  const [first] = rest.split(" ");
  if (first && maker.toLowerCase().startsWith(first.toLowerCase())) rest = rest.slice(first.length).trim();
  return `${maker} ${rest}`.trim() || "unknown";
}

/** Numerator and denominator, both in 31 bits, by continued fractions. */
function fraction(value) {
  const most = Math.max(1, Math.min(10_000_000, Math.floor(2 ** 31 / Math.max(1, Math.abs(value))) - 1));
  let [n0, d0, n1, d1] = [0, 1, 1, 0];
  let rest = value;
  for (;;) {
    const whole = Math.floor(rest);
    const [n2, d2] = [whole * n1 + n0, whole * d1 + d0];
    if (d2 > most) break;
    [n0, d0, n1, d1] = [n1, d1, n2, d2];
    if (rest === whole) break;
    rest = 1 / (rest - whole);
    if (!Number.isFinite(rest)) break;
  }
  return d1 ? [n1, d1] : [Math.round(value), 1];
}

/** A small picture gathered from rows as they go by: the mean of the pixels that fall on each of its own. */
class Thumbnail {
  constructor(width, height) {
    const share = Math.min(1, THUMBNAIL_SIDE / Math.max(width, height));
    this.whole = [width, height];
    this.width = Math.max(1, Math.round(width * share));
    this.height = Math.max(1, Math.round(height * share));
    this.sums = new Float64Array(3 * this.width * this.height);
    this.counts = new Uint32Array(this.width * this.height);
  }

  add(rgb, top, count) {
    const [width, height] = this.whole;
    for (let y = 0; y < count; y++) {
      const row = Math.floor(((top + y) * this.height) / height) * this.width;
      for (let x = 0; x < width; x++) {
        const to = row + Math.floor((x * this.width) / width);
        this.counts[to]++;
        for (let c = 0; c < 3; c++) this.sums[3 * to + c] += rgb[3 * (y * width + x) + c];
      }
    }
  }

  /** RGB; an even number of bytes, as TIFF wants what follows. */
  bytes() {
    const out = new Uint8Array(this.sums.length + (this.sums.length % 2));
    this.sums.forEach((sum, i) => (out[i] = Math.round(sum / Math.max(1, this.counts[Math.floor(i / 3)]))));
    return out;
  }
}
