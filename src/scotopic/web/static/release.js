// Large arrays are used again, or given back at once: the collector comes late, and a phone ends the page before.

/** An array of `length` values of a kind in the memory of a spare one; a new one where that is too small, or none. */
export function reused(Kind, spare, length) {
  const fits = spare && spare.buffer.byteLength >= length * Kind.BYTES_PER_ELEMENT;
  return fits ? new Kind(spare.buffer, 0, length) : new Kind(length);
}

/** Ends arrays made here that nobody needs any more; browsers before 2024 leave them to their collector. */
export function release(...arrays) {
  for (const { buffer } of arrays) if (buffer.byteLength) buffer.transfer?.(0);
}
