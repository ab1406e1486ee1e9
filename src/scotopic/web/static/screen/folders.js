// What was dropped: files as they are, of folders the RAW photos in them and in theirs.

/** Endings by which photos are picked from folders, those of the command line; a file itself may be called anything. */
const ENDINGS = new Set(
  ("3fr ari arw bay cap cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 " +
    "srf srw x3f").split(" "),
);

/** Folders of what network storage and Windows have put aside, previews and deleted files. */
const NOT_PHOTOS = new Set(["@eaDir", "#recycle", "$RECYCLE.BIN"]);

/** {files, folders}: the files of a drop, and how many folders it had. The drop's own data last only until it is heard. */
export async function dropped({ items, files }) {
  const entries = [...items].filter(({ kind }) => kind === "file").map((item) => item.webkitGetAsEntry?.());
  const folders = entries.filter((entry) => entry?.isDirectory).length;
  if (!folders) return { files: [...files], folders };
  const found = [];
  for (const entry of entries) {
    if (entry?.isDirectory) found.push(...(await photosIn(entry)));
    else if (entry) found.push(await fileOf(entry));
  }
  return { files: found.filter(Boolean), folders };
}

/** The photos of a folder by name, and then those of its folders. What cannot be read is passed by. */
async function photosIn(folder) {
  const entries = (await entriesOf(folder)).filter(({ name }) => !name.startsWith(".") && !NOT_PHOTOS.has(name));
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  const found = [];
  for (const entry of entries.filter(({ isFile, name }) => isFile && isRaw(name))) found.push(await fileOf(entry));
  for (const entry of entries.filter(({ isDirectory }) => isDirectory)) found.push(...(await photosIn(entry)));
  return found;
}

const isRaw = (name) => name.includes(".") && ENDINGS.has(name.slice(name.lastIndexOf(".") + 1).toLowerCase());

/** All entries of a folder: browsers give a hundred at a time. */
async function entriesOf(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return all;
    all.push(...some);
  }
}

const fileOf = (entry) => new Promise((resolve) => entry.file(resolve, () => resolve(null)));
