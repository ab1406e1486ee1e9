// What the page makes of files made to do harm: `node hostile_words.mjs STATIC_FOLDER`; a JSON line for each.
import { pathToFileURL } from "node:url";

const [folder] = process.argv.slice(2);
const page = (name) => import(pathToFileURL(`${folder}/${name}.js`));
const { exifBlock } = await page("metadata");
const { segment } = await page("write");

// Thousands of long texts: how often the page turns a text into bytes.
const encode = TextEncoder.prototype.encode;
let encoded = 0;
TextEncoder.prototype.encode = function (text) {
  encoded++;
  return encode.call(this, text);
};
const texts = new Map(Array.from({ length: 3000 }, (_, i) => [0xd000 + i, { type: 2, values: "x".repeat(2000) }]));
const block = exifBlock({ main: new Map(), exif: texts, gps: new Map() }, 8, 8, "test", true, 65527);
console.log(JSON.stringify({ what: "texts", size: block.length, encoded }));

// A segment longer than its length can say.
const outcome = (size) => {
  try {
    return segment(0xe1, "Exif\0\0", new Uint8Array(size)).length;
  } catch (error) {
    return error.name;
  }
};
console.log(JSON.stringify({ what: "segment", most: outcome(65527), more: outcome(65528) }));
