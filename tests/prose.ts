/** The rules for prose that a program can check (CONTRIBUTING.md). */

import { walk } from "./layout.ts";

/** Phrases of translated or old English, each with what to write. */
const PHRASES: [RegExp, string][] = [
  [
    /(?<!there )\bis no (?:end|error|frame|message|module|number|text)\b/,
    "is not a ...",
  ],
  [/\b(?:waits?|asks?|goes) no more\b/, "stops, no longer"],
  [/\bis to be\b|\bare to (?:be|stand)\b/, "must be, is"],
  [/\bsees? to (?:it|that)\b/, "ensure"],
  [/\b(?:lets?|hurts?|for) nobody\b/, "only ..., harmless"],
  [/\bmend(?:s|ed|ing)?\b/, "fix"],
  [/\b(?:lest|upon|whom|whoever|thereof|heeds?)\b/, "a common word"],
  [/(?<!\bneither [^.]*)\bnor\b/, "or"],
  [/\bfor ever\b|\bwithout end\b/, "indefinitely"],
  [/\bhears? of\b/, "gets an error, is notified"],
  [/\bof one['’]s own\b/, "your own"],
  [/\bin order is no\b|\bend in order\b/, "a clean shutdown"],
  [/\bmade bytes of\b/, "is serialized"],
  [/\bis not asked\b/, "bypasses"],
  [/\bfor want of\b/, "without"],
  [
    /(?:[.:;,(*] |\b(?:for|by|to|of|lets|as|than) )who (?:must|may|reads?|sends?|has|does|calls|waits)\b/,
    "anyone who ..., the caller",
  ],
  [/(?<!Math\.)\bfloors?\b|\brooms\b|\b(?:own|a) face\b/, "layer, file"],
];

const PAGES = /^(docs\/.*|README|SECURITY|CONTRIBUTING|CHANGELOG)\.md$/;
const SOURCES = /^(?!tests\/|docs\/).*\.ts$/;

/** Removes code from a page, and comment marks from a source, and joins their lines. */
function proseOf(path: string, text: string): string {
  const prose = path.endsWith(".md")
    ? text.replace(/^```[^]*?^```/gm, "")
    : text.replace(/^ *(?:\/\*\*|\*\/|\*|\/\/)/gm, "");
  return prose.replace(/\s+/g, " ");
}

/** Finds phrases that readers have to read twice, in pages and sources. */
export async function findOldPhrases(root: URL): Promise<string[]> {
  const violations: string[] = [];
  for (const path of await walk(root)) {
    if (!PAGES.test(path) && !SOURCES.test(path)) continue;
    const prose = proseOf(path, await Deno.readTextFile(new URL(path, root)));
    for (const [phrase, instead] of PHRASES) {
      for (const { 0: found, index } of prose.matchAll(globalOf(phrase))) {
        const end = index + found.length;
        violations.push(
          `${path}: "${
            prose.slice(Math.max(0, index - 30), end + 30)
          }": write ${instead}`,
        );
      }
    }
  }
  return violations;
}

function globalOf({ source }: RegExp): RegExp {
  return new RegExp(source, "gi");
}
