/** EXIF's tags one by one: what value each wants, whatever the source says. Mirrors `scotopic.metadata.exiftags`.
 *
 * Directories are maps of tag number to { type, values }, as `readExif` gives them. */

import { ASCII, BYTE, DOUBLE, LONG, RATIONAL, SHORT, SRATIONAL, UNDEFINED } from "../tiff.js";

export const ISO = 0x8827;
export const EXPOSURE_BIAS = 0x9204;
export const EXIF_VERSION = 0x9000;
export const FLASHPIX_VERSION = 0xa000;
const [SENSITIVITY_TYPE, OUTPUT_SENSITIVITY, EXPOSURE_INDEX, ISO_SPEED] = [0x8830, 0x8831, 0x8832, 0x8833];

/** SensitivityType: the number is the recommended exposure index. */
const RECOMMENDED = 2;

/** What ISO's 16 bits hold; then so much or more, and another tag says how much. */
export const ISO_MAX = 0xffff;

const undefinedBytes = (text) => ({ type: UNDEFINED, values: new TextEncoder().encode(text) });
const short = (...values) => ({ type: SHORT, values });

/** Dots an inch that a picture says of which no density is known. */
export const DPI = 72;

/** What EXIF asks for in a JPEG's main and EXIF directories, besides what all have. */
export const OF_JPEG = {
  // XResolution, YResolution, ResolutionUnit (inch), YCbCrPositioning (centred).
  main: [
    [0x011a, { type: RATIONAL, values: [[DPI, 1]] }],
    [0x011b, { type: RATIONAL, values: [[DPI, 1]] }],
    [0x0128, short(2)],
    [0x0213, short(1)],
  ],
  // ComponentsConfiguration: Y, Cb, Cr.
  exif: [[0x9101, { type: UNDEFINED, values: Uint8Array.of(1, 2, 3, 0) }]],
};

export const FLASHPIX = undefinedBytes("0100");

const [SIGNED_SHORT, SIGNED_LONG, FLOAT] = [8, 9, 11];

const all = (type, ...codes) => codes.map((code) => [code, type]);

/** Types that EXIF asks for where another would be taken by the value. */
const TYPES = new Map([
  // GPSVersionID, GPSAltitudeRef.
  ...all(BYTE, 0, 5),
  ...all(LONG, OUTPUT_SENSITIVITY, EXPOSURE_INDEX, ISO_SPEED, 0x8834, 0x8835),
  ...all(UNDEFINED, EXIF_VERSION, FLASHPIX_VERSION, 0x9101, 0xa300, 0xa301, 0xa302),
  // What may be negative: speed, brightness, bias; temperature, depth, elevation.
  ...all(SRATIONAL, 0x9201, 0x9203, 0x9204, 0x9400, 0x9403, 0x9405),
  // ImageDescription, Make, Model, DateTime, Artist, Copyright.
  ...all(ASCII, 0x010e, 0x010f, 0x0110, 0x0132, 0x013b, 0x8298),
]);

/** Whole numbers of each type, smaller types first: its least and its most. */
const WHOLE = [
  [SHORT, 0, 0xffff],
  [SIGNED_SHORT, -0x7fff, 0x7fff],
  [LONG, 0, 0xffffffff],
  [SIGNED_LONG, -0x80000000, 0x7fffffff],
];

/** A tag's value under the type that EXIF asks for, whatever the source's; null where it cannot be written so. */
export function typed(code, { type, values }) {
  const wanted = TYPES.get(code);
  const asBytes = wanted === UNDEFINED || wanted === BYTE;
  if (typeof values === "string") {
    return asBytes ? { type: wanted, values: new TextEncoder().encode(values) } : { type: ASCII, values };
  }
  if (values instanceof Uint8Array) return { type: asBytes ? wanted : UNDEFINED, values };
  const isRational = type === RATIONAL || type === SRATIONAL;
  const isWhole = !isRational && type !== FLOAT && type !== DOUBLE;
  if (asBytes) {
    const fit = isWhole && values.every((v) => v >= 0 && v <= 0xff);
    return fit ? { type: wanted, values: Uint8Array.from(values) } : null;
  }
  if (wanted === ASCII) return isWhole ? { type: ASCII, values: String(values[0]) } : null;
  if (wanted === SRATIONAL) return signed(isRational ? values : values.map(fraction));
  if (isRational) {
    const isNegative = values.some(([over, under]) => over / under < 0 && under !== 0);
    return wanted ? null : isNegative ? signed(values) : { type: RATIONAL, values: unsigned(values) };
  }
  if (!isWhole) return wanted ? null : { type: DOUBLE, values };
  const fit = WHOLE.find(([kind, least, most]) =>
    (wanted ?? kind) === kind && values.every((v) => v >= least && v <= most),
  );
  return fit ? { type: fit[0], values } : null;
}

/** Two negative numbers make a positive fraction. */
const unsigned = (pairs) => pairs.map((pair) => pair.map(Math.abs));

/** A number over the least power of ten that makes it whole, 10,000 at most. */
function fraction(value) {
  const under = [1, 10, 100, 1000].find((power) => Number.isInteger(value * power)) ?? 10_000;
  return [value * under, under];
}

/** Fractions in 31 bits and a sign each, near what they were. */
function signed(pairs) {
  const most = 0x7fffffff;
  const values = pairs.map((pair) => {
    const larger = Math.max(...pair.map(Math.abs)) / most;
    return pair.map((v) => Math.round(larger > 1 ? v / larger : v));
  });
  // Numbers too large for it, or none.
  return values.flat().every(Number.isFinite) && values.every(([, under], i) => under || !pairs[i][1])
    ? { type: SRATIONAL, values }
    : null;
}

/** LensSpecification: an aperture that is not known is 0/0. */
const UNKNOWN_ALLOWED = [0xa432];

/** What says nothing alone: latitude, longitude and their references, altitude, speed, track, direction, goal. */
const GPS_GROUPS = [
  [1, 2, 3, 4],
  [5, 6],
  [12, 13],
  [14, 15],
  [16, 17],
  [19, 20, 21, 22],
  [23, 24],
  [25, 26],
];

/** Of EXIF, with the first and last of the tags that each brought. */
const VERSIONS = [
  ["0220", []],
  ["0221", [[0xa500, 0xa500]]],
  ["0230", [[0x8830, 0x8835], [0xa430, 0xa435]]],
  ["0231", [[0x9010, 0x9012], [0x9400, 0x9405]]],
  ["0232", [[0xa460, 0xa462]]],
  ["0300", [[0xa436, 0xa43c]]],
];
const USUAL_VERSION = "0232";

/** The EXIF version of a directory: what it says, or what its tags need where that is newer. */
export function versionFor(exif) {
  const stated = exif.get(EXIF_VERSION)?.values ?? "";
  const text = typeof stated === "string" ? stated : String.fromCharCode(...stated);
  const needed = VERSIONS.filter(([, spans]) =>
    spans.some(([first, last]) => [...exif.keys()].some((code) => code >= first && code <= last)),
  ).map(([version]) => version);
  return undefinedBytes([/^\d{4}$/.test(text) ? text : USUAL_VERSION, ...needed].sort().at(-1));
}

/** The EXIF directory with what the main directory has of the shot, where it is silent or says nothing. */
export const ofShot = (exif, main) =>
  new Map([...exif, ...[...main].filter(([code]) => !exif.has(code) || isUnsaid(code, exif.get(code)))]);

/** Whether a value of the shot is none: zero, where that is no setting, or a date without a number. */
function isUnsaid(code, { type, values }) {
  if (typeof values === "string") return !/[1-9]/.test(values);
  return dividesByZero({ type, values }) || (code !== EXPOSURE_BIAS && values.every((v) => !(v[0] ?? v)));
}

const dividesByZero = ({ type, values }) =>
  (type === RATIONAL || type === SRATIONAL) && values.some(([, under]) => under === 0);

/** The tags whose fractions are numbers; of a place, nothing where a part of it is none. */
export function sound(tags, isGps = false) {
  const broken = new Set(
    [...tags].filter(([code, tag]) => !UNKNOWN_ALLOWED.includes(code) && dividesByZero(tag)).map(([code]) => code),
  );
  for (const group of isGps ? GPS_GROUPS : []) {
    if (group.some((code) => broken.has(code))) group.forEach((code) => broken.add(code));
  }
  const left = new Map([...tags].filter(([code]) => !broken.has(code)));
  // The version of a directory of which nothing else is left.
  return isGps && left.size === 1 && left.has(0) ? new Map() : left;
}

const firstOf = (exif, code) => {
  const value = exif.get(code)?.values?.[0];
  return typeof value === "number" ? value : null;
};

/** The sensitivity; of one beyond 16 bits what the other tags say, or ISO_MAX where they are silent. */
export function isoOf(exif) {
  const iso = firstOf(exif, ISO);
  if (iso === null || iso < ISO_MAX) return iso > 0 ? iso : null;
  return Math.max(iso, ...[EXPOSURE_INDEX, OUTPUT_SENSITIVITY, ISO_SPEED].map((code) => firstOf(exif, code) ?? 0));
}

/** The directory with a sensitivity where it has none; one beyond 16 bits is stored as EXIF does. */
export function withIso(exif, iso) {
  const known = isoOf(exif);
  const told = Math.max(known ?? 0, iso ?? 0);
  if (!told || (known !== null && known < ISO_MAX)) return exif;
  const whole = new Map(exif).set(ISO, short(Math.min(told, ISO_MAX)));
  const isTold = [OUTPUT_SENSITIVITY, EXPOSURE_INDEX, ISO_SPEED].some((code) => firstOf(exif, code) === told);
  if (told <= ISO_MAX || isTold) return whole;
  return whole.set(SENSITIVITY_TYPE, short(RECOMMENDED)).set(EXPOSURE_INDEX, { type: LONG, values: [told] });
}

/** The directory of the same picture turned upright.
 *
 * Points in it are left out, as they count in the camera's own picture, whose size is not ours. */
export function turnedTags(exif, orientation) {
  if (!(orientation >= 2 && orientation <= 8)) return exif;
  const turned = new Map(exif);
  // SubjectArea, SubjectLocation.
  for (const code of [0x9214, 0xa214]) turned.delete(code);
  if (orientation < 5) return turned;
  // SpatialFrequencyResponse, FocalPlaneXResolution, FocalPlaneYResolution: along the width and the height.
  const [x, y] = [0xa20e, 0xa20f];
  for (const code of [0xa20c, x, y]) turned.delete(code);
  if (exif.has(x)) turned.set(y, exif.get(x));
  if (exif.has(y)) turned.set(x, exif.get(y));
  return turned;
}

/** The main directory saying what the words say: readers ask it before XMP (Metadata Working Group, 2010). */
export function following(main, words, longest) {
  const [description, artist, copyright, rating] = [0x010e, 0x013b, 0x8298, 0x4746];
  const followed = new Map(main);
  const tell = (code, text) => {
    if (text) followed.set(code, { type: ASCII, values: [...text].slice(0, longest).join("") });
  };
  tell(description, words.description);
  tell(artist, words.creators.join("; "));
  // Where it is the photographer's already, the editor's stays beside it.
  if (String(main.get(copyright)?.values ?? "").split("\0")[0] !== words.rights) tell(copyright, words.rights);
  if (words.rating !== null) followed.set(rating, short(words.rating));
  // A picture rejected, which EXIF does not know.
  if (words.rating === -1) followed.delete(rating);
  return followed;
}
