// How far the download of the network is, in bytes as they are used: hosts may send them compressed.

export class Download {
  /** `bytes` are files' sizes by path, `runtime` is the path of what all need; `told` hears {loaded, total}. */
  constructor(bytes, runtime, told) {
    this.bytes = bytes;
    this.total = bytes[runtime] ?? 0;
    this.loaded = 0;
    this.told = told;
    this.expected = new Set();
  }

  /** A model will be fetched. */
  expect(name) {
    if (this.expected.has(name)) return;
    this.expected.add(name);
    for (const [path, size] of Object.entries(this.bytes)) {
      if (path.startsWith(`models/${name}/`)) this.total += size;
    }
    this.came(0);
  }

  came(count) {
    this.loaded += count;
    this.told({ loaded: Math.min(this.loaded, this.total), total: this.total });
  }
}
