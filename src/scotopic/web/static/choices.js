// What may be chosen for one picture. Who draws, writes or sends it asks here what tells its settings apart.

/** A picture's settings as it begins, all of them. */
export const START = { ev: 0, strength: 1, wb: "camera", passes: 1 };

/** Those that a traditional development knows nothing of. */
const OF_ENHANCED = ["strength", "passes"];

/** How often the network may look at a picture. For another number it works anew; everything else is drawn at once. */
export const PASSES = [1, 2, 4];

/** What is the same for settings that give the same picture, "enhanced" or "traditional"; those not told are START's. */
export function keyOf(which, settings = {}) {
  const names = Object.keys(START).filter((name) => which === "enhanced" || !OF_ENHANCED.includes(name));
  return JSON.stringify(names.map((name) => settings[name] ?? START[name]));
}
