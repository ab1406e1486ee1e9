/** XMP packets: a photographer's own words, and whether scotopic has enhanced the picture. */

export function packetOf() {
  return new Uint8Array(0);
}

export function parsePacket() {
  return { words: {}, enhanced: false };
}
