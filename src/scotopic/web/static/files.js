// An enhanced picture as a file, with the settings of the screen. What writes is there from the start, and not only
// when it is first needed: by then a newer version of the page may have taken the place of this one.

import { gainsFor } from "./balance.js";
import { START } from "./choices.js";
import { developed, developer, uprightSize } from "./develop.js";
import { linearDng } from "./dng/write.js";
import { unsupported } from "./errors.js";
import { uprightExif } from "./metadata.js";
import { release } from "./release.js";
import { blended, sampled } from "./sample.js";
import { jpeg } from "./write.js";

/** How long it goes on before messages are heard. */
const BREATH_MS = 60;

/** Files that are written, and their kinds. */
const FORMATS = { jpg: "image/jpeg", dng: "image/x-adobe-dng" };

/**
 * {blob, name} of a picture ({light, about, file}) as {settings, format, quality} wish it; `go` throws where it is no
 * longer wanted, `onRow` hears the share written. Throws unsupported for formats that there are not, memory.
 */
export async function fileOf(picture, { settings = {}, format = "jpg", quality }, { constants, go, onRow }) {
  if (!(format in FORMATS)) throw unsupported(format, `the page writes JPEG and DNG; ${format} is written by the computer`);
  const { light, file } = picture;
  const { wb, strength, ev } = { ...START, ...settings };
  const [gains, gain] = [gainsFor(wb, light, constants, strength), 2 ** ev];
  const develop = developer(light, { gains, gain }, constants);
  let rested = performance.now();
  const strip = async (of, top, count) => {
    if (performance.now() - rested > BREATH_MS) {
      // Whoever moves a slider or cancels is heard meanwhile.
      await new Promise((heard) => setTimeout(heard));
      rested = performance.now();
    }
    go();
    const [width] = uprightSize(of);
    const view = { x: 0, y: top, width, height: count };
    return blended((which) => sampled([light], of, which, view, width, count), strength);
  };
  const shownAs = (of) => async (top, count) => {
    const [width] = uprightSize(of);
    const rgb = new Uint8Array(3 * width * count);
    const planes = await strip(of, top, count);
    developed(develop, planes, width * count, rgb);
    release(...planes);
    return rgb;
  };
  const software = `scotopic ${constants.version}`;
  const written = async () => {
    if (format === "jpg") {
      const icc = Uint8Array.from(atob(constants.develop.profile), (c) => c.charCodeAt(0));
      const [width, height] = uprightSize(light);
      const exif = uprightExif(picture.about.exif, light.orientation);
      return jpeg(shownAs(light), width, height, { exif, quality, icc, software, onRow });
    }
    // As the sensor saw it, before any white balance; amplified, and brightened as on the screen.
    const lying = { ...light, orientation: 1 };
    const stored = { ...lying, pixelAspect: 1 };
    const { width, height } = light;
    const seen = async (top, count) => {
      const planes = new Float32Array(3 * width * count);
      (await strip(stored, top, count)).forEach((plane, c) => {
        const scale = gain / light.wb[c];
        for (let i = 0; i < plane.length; i++) planes[c * width * count + i] = plane[i] * scale;
      });
      return planes;
    };
    const capture = { ...picture.about, wb: gains };
    const { clip, uponGreen } = light;
    const options = { capture, uponGreen, clip: clip * gain, fileName: file.name, software, strength, onRow };
    return linearDng(seen, shownAs(lying), width, height, { ...options, shownSize: uprightSize(lying) });
  };
  const { parts } = await written();
  const name = `${file.name.replace(/\.[^.]*$/, "") || "picture"}-scotopic.${format}`;
  return { blob: new Blob(parts, { type: FORMATS[format] }), name };
}
