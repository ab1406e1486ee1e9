/** A file's bytes to a mosaic, or to a linear picture where it holds all colours at a pixel or none.
 *
 * Mirrors `scotopic.read`: the same values from the same file. */

import { originOf } from "./dng/origin.js";
import { readPixels } from "./dng/pixels.js";
import { readTags } from "./dng/directory.js";
import { captured, checkSide, checkWhole } from "./dng/read.js";
import { grid } from "./dng/tags.js";
import { ScotopicError, damaged, tooSmall, unsupported } from "./errors.js";
import { checkIsRaw } from "./identify.js";
import { blackOfMargin, greyWorld, saturation } from "./sensor/levels.js";
import { EXIF_ORIENTATION_OF_FLIP, Raw, isBlackOfMargin, whiteBalance } from "./libraw.js";
import { determinant, inverse, times } from "./matrix.js";
import { ISO_MAX } from "./metadata/exiftags.js";
import { filledIn, readExif } from "./metadata.js";

const COLOUR_OF_LETTER = { R: 0, G: 1, B: 2 };
const GREY_WORLD = "grey world (the file gives none)";

/** Linear sRGB to XYZ (D65), the digits that LibRaw and dcraw use. */
const XYZ_FROM_SRGB = [
  [0.412453, 0.35758, 0.180423],
  [0.212671, 0.71516, 0.072169],
  [0.019334, 0.119193, 0.950227],
];
const IDENTITY = grid(3, 3, (y, x) => (y === x ? 1 : 0));

/** Read a RAW photo from a Uint8Array. `megapixelsMax` is what this device can do: larger files are refused by
 * their header. Throws ScotopicError: jpeg, not-raw, truncated, too-small, unsupported, not-here, too-large, memory. */
export async function read(bytes, { megapixelsMax = Infinity } = {}) {
  try {
    const picture = await readWhole(bytes, megapixelsMax);
    return { ...picture, origin: originOf(bytes) };
  } catch (error) {
    if (error instanceof ScotopicError) throw error;
    if (error instanceof RangeError && /alloc|length|memory/i.test(error.message)) {
      throw new ScotopicError("memory", `not enough memory (${error.message})`);
    }
    throw error;
  }
}

async function readWhole(bytes, megapixelsMax) {
  checkIsRaw(bytes);
  const dng = readTags(bytes);
  const exif = readExif(bytes);
  if (dng) {
    checkSize(dng, megapixelsMax);
    checkSide(dng);
  }
  if (dng?.beyondLibraw.length) return captured(await readPixels(bytes, dng), dng, described(exif, null, dng));
  let refusal;
  try {
    const raw = await Raw.open(bytes);
    checkSize(raw.statedSize, megapixelsMax);
    raw.unpack();
    return dng ? await asTagsSeeIt(bytes, raw, dng, exif) : asLibrawSeesIt(raw, exif);
  } catch (error) {
    if (!dng || error.code !== "unsupported") throw error;
    refusal = error;
  }
  try {
    return captured(await readPixels(bytes, dng), dng, described(exif, null, dng));
  } catch {
    throw refusal;
  }
}

function checkSize({ width, height }, megapixelsMax) {
  const megapixels = (width * height) / 1e6;
  if (megapixels > megapixelsMax) {
    throw new ScotopicError("too-large", `holds ${megapixels.toFixed(0)} megapixels`, {
      megapixels,
      limit: megapixelsMax,
    });
  }
}

/** What is known of how the picture was taken: the file's own EXIF first, then LibRaw and the tags. */
function described(exif, raw, dng) {
  const positive = (v) => (typeof v === "number" && v > 0 ? v : null);
  const make = exif.make || dng?.make || "";
  const model = exif.model || dng?.model || "";
  let exposure_s = positive(exif.exposure_s) ?? dng?.exposure_s ?? null;
  if (raw && !exif.hasExposure) exposure_s ??= positive(raw.shutter_s);
  // LibRaw knows some from maker notes, but cuts what EXIF says to 16 bits.
  const stated = positive(exif.iso);
  const asked = raw && (stated === null || stated === ISO_MAX);
  const iso = (asked ? Math.max(positive(raw.iso) ?? 0, stated ?? 0) || null : stated) ?? dng?.iso ?? null;
  const more = raw ? { aperture: raw.aperture, focal_mm: raw.focal_mm, lens: raw.lens, timestamp: raw.timestamp } : {};
  const whole = filledIn(exif, { exposure_s, iso, ...more, ...(dng ? { make, model } : {}) });
  return {
    make,
    model,
    exposure_s,
    iso,
    fNumber: whole.fNumber,
    focal_mm: whole.focal_mm,
    lens: whole.lens,
    exif: whole,
  };
}

/** A DNG that LibRaw has decoded, by its own tags. */
async function asTagsSeeIt(bytes, raw, dng, exif) {
  if (!raw.values || raw.rawHeight !== dng.height || raw.rawWidth !== dng.width) {
    return captured(await readPixels(bytes, dng), dng, described(exif, raw, dng));
  }
  const [top, left, bottom, right] = dng.area;
  const stored = { values: raw.values, stride: raw.samples, storedWidth: raw.rawWidth };
  if (dng.cfa) checkWhole({ ...stored, top, left, height: bottom - top, width: right - left });
  const picture = captured(stored, dng, described(exif, raw, dng));
  if (dng.xyzToCamera === null && (dng.cfa || dng.samples === 3)) picture.xyzToCamera = tableMatrix(raw);
  return picture;
}

/** A picture of which LibRaw alone knows: every maker's own format. */
function asLibrawSeesIt(raw, exif) {
  if (raw.top + raw.height > raw.rawHeight || raw.left + raw.width > raw.rawWidth) {
    throw unsupported("staggered pixels", "its sensor's pixels are staggered, such as Fujifilm's SuperCCD");
  }
  const { values, height, width } = raw;
  if (!values || !height || !width) throw damaged("the RAW file holds no picture data");
  const seen = { values, stride: raw.samples, storedWidth: raw.rawWidth, top: raw.top, left: raw.left, height, width };
  const fields = {
    xyzToCamera: raw.colours === 1 ? null : xyzToCamera(raw),
    orientation: EXIF_ORIENTATION_OF_FLIP[raw.flip] ?? 1,
    pixelAspect: raw.pixelAspect || 1,
    noise: null,
    shading: null,
    notes: [],
    ...described(exif, raw, null),
  };
  if (raw.colours === 1) return monochrome(raw, seen, fields);
  if (raw.samples !== 1) {
    throw unsupported("finished colours", "holds no mosaic but colours that the camera has put together");
  }
  const { cfa, places } = cell(raw);
  if (Math.min(height, width) < 2 * cfa.length) throw tooSmall(width, height);
  const stated = places.map((row) => row.map((i) => raw.black[i]));
  checkWhite(raw.white, Math.max(...stated.flat()));
  const black = isBlackOfMargin(fields.make) ? blackOfMargin(seen, stated, raw.white) : stated;
  const highest = Math.max(...black.flat());
  checkWhole(seen);
  const data = new Uint16Array(height * width);
  for (let y = 0; y < height; y++) {
    const row = (raw.top + y) * raw.rawWidth + raw.left;
    data.set(values.subarray(row, row + width), y * width);
  }
  const wb = whiteBalance(raw);
  const levels = { data, height, width, cfa, black, white: raw.white };
  return {
    kind: "mosaic",
    ...levels,
    saturation: saturation(data, highest, raw.white),
    wb: wb ?? greyWorld(levels),
    wbSource: wb ? "camera" : GREY_WORLD,
    ...fields,
  };
}

function checkWhite(white, black) {
  if (!(white > black)) throw damaged(`its white level ${white} is not above its black level ${black}`);
}

/** No colour filters: three planes that are the same. */
function monochrome(raw, seen, fields) {
  const { values, stride, storedWidth, top, left, height, width } = seen;
  const [black] = raw.black;
  checkWhite(raw.white, black);
  checkWhole(seen);
  const size = height * width;
  const data = new Float32Array(3 * size);
  const plane = new Uint16Array(size);
  const span = Math.fround(raw.white - black);
  for (let i = 0; i < size; i++) {
    plane[i] = values[((top + Math.floor(i / width)) * storedWidth + left + (i % width)) * stride];
    data[i] = Math.fround(plane[i] - Math.fround(black)) / span;
  }
  data.copyWithin(size, 0, size);
  data.copyWithin(2 * size, 0, size);
  const clip = (saturation(plane, black, raw.white) - black) / (raw.white - black);
  const picture = { kind: "linear", data, height, width, clip, ratio: 1, monochrome: true };
  return { ...picture, wb: [1, 1, 1], wbSource: "none (no colour filters)", ...fields };
}

/** The repeating cell at the top-left of the visible area: colours, and LibRaw's channel numbers. */
function cell(raw) {
  const size = raw.patternSize;
  if (size !== 2 && size !== 6) {
    throw unsupported("no colour pattern", "its sensor has no Bayer or X-Trans colour pattern");
  }
  const places = grid(size, size, (y, x) => raw.colourAt(y, x));
  const cfa = places.map((row) => row.map((i) => COLOUR_OF_LETTER[raw.letters[i]]));
  if (cfa.flat().includes(undefined)) {
    throw unsupported("colour filters", `its colour filters are ${raw.letters}; only red, green and blue are known`);
  }
  return { cfa, places };
}

/** XYZ to camera from LibRaw's table of cameras; null for those not in it. */
function tableMatrix(raw) {
  return Math.abs(determinant(raw.xyzToCamera)) > 1e-6 ? raw.xyzToCamera : null;
}

function xyzToCamera(raw) {
  if (raw.xyzToCamera.flat().some((v) => v !== 0)) return tableMatrix(raw);
  // LibRaw keeps only the finished matrix to sRGB; go back from there.
  const three = (rows) => rows.map((row) => row.slice(0, 3));
  let toSrgb = three(raw.matrix);
  if (!toSrgb.flat().some((v) => v !== 0)) toSrgb = raw.isRgbKnown ? three(raw.toSrgb) : IDENTITY;
  return Math.abs(determinant(toSrgb)) > 1e-6 ? times(inverse(toSrgb), inverse(XYZ_FROM_SRGB)) : null;
}
