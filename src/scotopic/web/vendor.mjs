// Copies what the page needs at run time out of node_modules into static/vendor/: `npm run vendor`.
// Which files of which package is said in package.json under "vendor"; each package's licence comes along.

import { copyFile, mkdir, readFile, readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..", "..");
const target = join(here, "static", "vendor");

const { vendor } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
for (const [name, files] of Object.entries(vendor)) {
  const from = join(root, "node_modules", name);
  for (const file of files) await copyFile(join(from, file), join(target, basename(file)));
  for (const file of await readdir(from)) {
    if (!/^(licen[cs]e|notice|thirdparty)/i.test(file)) continue;
    await copyFile(join(from, file), join(target, `${name.replaceAll(/[@/]+/g, "-").replace(/^-/, "")}-${file}`));
  }
}
