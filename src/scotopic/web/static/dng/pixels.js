/** The values that a DNG stores, decoded where LibRaw is not asked first. Mirrors `scotopic.dng.pixels`. */

import { unsupported } from '../errors.js';

export async function readPixels(bytes, dng) {
  throw unsupported(dng.beyondLibraw.join(', ') || 'compression', `its picture is stored in a way that is not read here`);
}
