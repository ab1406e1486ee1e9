// The page's words, without a browser.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

const folder = new URL("../../src/scotopic/web/static/", import.meta.url);
const languages = Object.fromEntries(await Promise.all(
  (await readdir(new URL("screen/strings/", folder))).map(async (file) => [
    file.replace(".js", ""), (await import(new URL(`screen/strings/${file}`, folder))).default,
  ]),
));
const page = await readFile(new URL("index.html", folder), "utf8");
const modules = await Promise.all(
  (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(".js") && !name.startsWith("vendor/"))
    .map((name) => readFile(new URL(name, folder), "utf8")),
);

test("every language has every sentence, with the same gaps to fill", () => {
  const { en, ...others } = languages;
  assert.ok(Object.keys(others).length >= 1);
  const gaps = (sentence) => [...sentence.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const [tag, words] of Object.entries(others)) {
    assert.deepEqual(Object.keys(words).sort(), Object.keys(en).sort(), tag);
    for (const [key, sentence] of Object.entries(words)) {
      assert.ok(sentence.trim(), `${tag} ${key}`);
      assert.deepEqual(gaps(sentence), gaps(en[key]), `${tag} ${key}`);
    }
  }
});

test("every sentence that the page and its modules name is there", () => {
  const named = [...page.matchAll(/data-say(?:-label|-alt)?="(\w+)"/g), ...modules.flatMap((text) => [...text.matchAll(/\bsay\("([\w-]+)"/g)])];
  assert.ok(named.length > 80);
  for (const [, key] of named) assert.ok(key in languages.en, key);
});

test("every setting of a picture has what sets it", async () => {
  const { START, PASSES, FRINGES } = await import(new URL("choices.js", folder));
  const form = page.slice(page.indexOf('<form id="controls"'), page.indexOf("</form>"));
  for (const name of Object.keys(START)) assert.match(form, new RegExp(` name="${name}"`), name);
  const offered = (name) => [...form.matchAll(new RegExp(`name="${name}" value="(\\w+)"`, "g"))].map(([, value]) => value);
  assert.deepEqual(offered("passes"), PASSES.map(String));
  assert.deepEqual(offered("fringes"), FRINGES);
});

test("every failure that the worker and the API know has words of its own", async () => {
  for (const code of ["jpeg", "too-large", "not-raw", "truncated", "unsupported", "memory", "engine", "internal", "network", "busy", "enhanced", "too-small", "not-here", "download", "foreign", "unreadable", "lacking", "forbidden"]) {
    const name = `failed${code[0].toUpperCase()}${code.slice(1)}`;
    assert.ok(languages.en[`${name}Title`] && languages.en[`${name}Words`], code);
  }
});

test("the page holds no script or style that its own policy forbids", () => {
  assert.doesNotMatch(page, /<script(?![^>]*\bsrc=)/);
  assert.doesNotMatch(page, /<style|\sstyle=|\son\w+=/);
  assert.doesNotMatch(page.replace(/xmlns="[^"]*"/g, ""), /https?:\/\//);
});

test("what the page says before its languages have come it says in all of them", () => {
  const tags = Object.keys(languages).sort();
  const several = page.match(/(?:<span lang="\w+">[^<]+<\/span>(?: · )?)+/g);
  assert.equal(several.length, 3);
  for (const spans of several) assert.deepEqual([...spans.matchAll(/lang="(\w+)"/g)].map(([, tag]) => tag).sort(), tags);
});

/** The modules that one needs, and those that they need, and so on. */
async function needed(name, found = new Set()) {
  const text = await readFile(new URL(name, folder), "utf8");
  for (const [, path] of text.matchAll(/^(?:import|export)\b[^;]*?"(\.[^"]+)";/gm)) {
    const next = new URL(path, new URL(name, folder)).href.slice(folder.href.length);
    if (!found.has(next)) await needed(next, found.add(next));
  }
  return found;
}

test("the page names all its modules, so that none waits for another to be read", async () => {
  const named = [...page.matchAll(/<link rel="modulepreload" href="([^"]+)">/g)].map(([, path]) => path);
  assert.deepEqual(named, [...(await needed("app.js"))].sort());
});

test("a camera is told without saying its maker twice", async () => {
  const { cameraLine } = await import(new URL("screen/status.js", folder));
  for (const [make, model, told] of [
    ["NIKON CORPORATION", "NIKON D850", "NIKON D850"],
    ["Canon", "Canon EOS R5", "Canon EOS R5"],
    ["OLYMPUS IMAGING CORP.", "E-M1", "OLYMPUS IMAGING CORP. E-M1"],
    ["Leica Camera AG", "LEICA M10", "LEICA M10"],
    ["SONY", "ILCE-7SM2", "SONY ILCE-7SM2"],
    ["", "X100", "X100"],
    ["SONY", "", "SONY"],
  ]) assert.equal(cameraLine({ make, model }), told);
});
