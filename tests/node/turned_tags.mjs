// What of EXIF is said of a picture turned upright: `node turned_tags.mjs STATIC_FOLDER TAGS`, TAGS in JSON.
import { pathToFileURL } from "node:url";

const [folder, given] = process.argv.slice(2);
const { uprightExif } = await import(pathToFileURL(`${folder}/metadata.js`));
const exif = new Map(JSON.parse(given).map(([code, value]) => [code, { type: 3, values: [value] }]));
for (let orientation = 1; orientation <= 8; orientation++) {
  const turned = uprightExif({ exif }, orientation).exif;
  console.log(JSON.stringify({ orientation, tags: [...turned].map(([code, { values }]) => [code, values[0]]) }));
}
