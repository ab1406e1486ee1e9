// What may be chosen for one picture. Who draws, writes or sends it asks here what tells its settings apart.

/** A picture's settings as it begins, all of them. */
export const START = { ev: 0, strength: 1, wb: "camera", passes: 1, fringes: "keep" };

/** Those that a traditional development knows nothing of. */
const OF_ENHANCED = ["strength", "passes", "fringes"];

/** How often the network may look at a picture. */
export const PASSES = [1, 2, 4];

/** What may become of a lens's lateral colour. */
export const FRINGES = ["keep", "remove"];

/** What the network works by. For others of these a picture is worked on anew; everything else is drawn at once. */
const WORK = ["passes", "fringes"];

/** What of these settings the network works by. */
export const workOf = (settings = {}) => Object.fromEntries(WORK.map((name) => [name, settings[name] ?? START[name]]));

/** What the network works by in these settings and not in the others. */
export const newWork = (some, others) =>
  Object.fromEntries(Object.entries(workOf(some)).filter(([name, value]) => value !== workOf(others)[name]));

/** What is the same for settings that give the same picture, "enhanced" or "traditional"; those not told are START's. */
export function keyOf(which, settings = {}) {
  const names = Object.keys(START).filter((name) => which === "enhanced" || !OF_ENHANCED.includes(name));
  return JSON.stringify(names.map((name) => settings[name] ?? START[name]));
}
