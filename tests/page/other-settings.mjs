// Of every setting another value than a picture begins with: what the tests of those who go by settings share.

import assert from "node:assert/strict";
import { START } from "../../src/scotopic/web/static/choices.js";

export const OTHER = { ev: 1, strength: 0.5, wb: "daylight", passes: 2, fringes: "remove" };

assert.deepEqual(Object.keys(OTHER), Object.keys(START), "each setting is tried: give a new one another value here");
