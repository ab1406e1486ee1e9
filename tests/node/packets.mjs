// What the page reads in XMP packets: `node packets.mjs STATIC_FOLDER PACKETS`, in base64, one a line.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [folder, packets] = process.argv.slice(2);
const { parsePacket } = await import(pathToFileURL(`${folder}/metadata/xmp.js`));
for (const line of (await readFile(packets, "utf8")).split("\n")) {
  console.log(JSON.stringify(parsePacket(new Uint8Array(Buffer.from(line, "base64")))));
}
