/** Draws panels of dots on logarithmic scales, as an SVG for light and dark pages. */

/** What was measured, and between which bounds. */
export interface Dot {
  readonly value: number;
  /** The lowest and the highest of the rounds: a line through the dot. */
  readonly low?: number;
  readonly high?: number;
  readonly isHollow?: boolean;
  readonly isOurs: boolean;
}

/** A name, dots, and what they stand for. */
export interface Row {
  readonly title: string;
  readonly isOurs: boolean;
  readonly dots: readonly Dot[];
  readonly label: string;
}

export interface Panel {
  readonly title: string;
  /** What is counted, and whether more of it is better. */
  readonly unit: string;
  readonly rows: readonly Row[];
}

const PANEL_WIDTH = 490;
const ROW_HEIGHT = 18;
/** Of a dot. */
const RADIUS = 4;
/** Room for names and for labels. */
const LEFT = 205;
const RIGHT = 92;
const GAP = 26;
const MARGIN = 12;
const WIDTH = 2 * MARGIN + 2 * PANEL_WIDTH + GAP;
/** Characters of a line of the caption. */
const CAPTION_LENGTH = 150;
/** Less is drawn as this: a logarithm has no zero. */
const LEAST = 0.1;

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}

function textAt(x: number, y: number, of: string, attributes = ""): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${attributes}>${
    escape(of)
  }</text>`;
}

const log = (value: number) => Math.log10(Math.max(value, LEAST));

/** Draw a panel with its upper left corner there. */
function drawPanel({ title, unit, rows }: Panel, x: number, top: number) {
  const parts = [
    textAt(x, top + 14, title, ' class="title"'),
    textAt(x, top + 29, unit, ' class="quiet"'),
  ];
  const logs = rows.flatMap(({ dots }) =>
    dots.flatMap(({ value, low = value, high = value }) => [
      log(low),
      log(high),
    ])
  );
  const least = Math.floor(Math.min(...logs));
  const most = Math.max(Math.ceil(Math.max(...logs)), least + 1);
  const plot = PANEL_WIDTH - LEFT - RIGHT;
  const at = (value: number) =>
    x + LEFT + (log(value) - least) / (most - least) * plot;

  let y = top + 38;
  const bottom = y + rows.length * ROW_HEIGHT;
  for (let power = least; power <= most; power++) {
    const tick = at(10 ** power);
    parts.push(`<path class="grid" d="M${tick.toFixed(1)} ${y}V${bottom}"/>`);
    const name = (10 ** power).toLocaleString("en", { notation: "compact" });
    parts.push(
      textAt(tick, bottom + 13, name, ' class="quiet" text-anchor="middle"'),
    );
  }
  for (const { title, isOurs, dots, label } of rows) {
    const middle = y + ROW_HEIGHT / 2;
    const kind = isOurs ? ' class="ours"' : "";
    parts.push(textAt(x, middle + 4, title, kind));
    for (const { value, low, high, isHollow, isOurs } of dots) {
      const kind = isOurs ? " ours" : "";
      const center = at(value);
      if (low !== undefined && high !== undefined) {
        // Not through the dot, which may be hollow.
        const lines = [
          [at(low), center - RADIUS],
          [center + RADIUS, at(high)],
        ] as const;
        const path = lines.filter(([from, to]) => from < to)
          .map(([from, to]) => `M${from.toFixed(1)} ${middle}H${to.toFixed(1)}`)
          .join("");
        if (path !== "") {
          parts.push(`<path class="spread${kind}" d="${path}"/>`);
        }
      }
      parts.push(
        `<circle class="dot${kind}${isHollow ? " hollow" : ""}" cx="${
          center.toFixed(1)
        }" cy="${middle}" r="${RADIUS}"/>`,
      );
    }
    parts.push(
      textAt(x + PANEL_WIDTH, middle + 4, label, `${kind} text-anchor="end"`),
    );
    y += ROW_HEIGHT;
  }
  return { parts, bottom: bottom + 13 };
}

/** Break a line between words. */
function wrap(line: string): string[] {
  const lines: string[] = [];
  let last = "";
  for (const word of line.split(" ")) {
    if (last !== "" && last.length + word.length >= CAPTION_LENGTH) {
      lines.push(last);
      last = word;
    } else last += last === "" ? word : ` ${word}`;
  }
  return [...lines, last];
}

/** Draw panels in two columns, with lines of text below. */
export function draw(
  panels: readonly Panel[],
  caption: readonly string[],
): string {
  const parts: string[] = [];
  const bottoms: [number, number] = [MARGIN, MARGIN];
  for (const panel of panels) {
    if (panel.rows.length === 0) continue;
    const column = bottoms[0] <= bottoms[1] ? 0 : 1;
    const x = MARGIN + column * (PANEL_WIDTH + GAP);
    const drawn = drawPanel(panel, x, bottoms[column]);
    parts.push(...drawn.parts);
    bottoms[column] = drawn.bottom + GAP;
  }
  let y = Math.max(...bottoms);
  for (const line of caption.flatMap(wrap)) {
    parts.push(textAt(MARGIN, y, line, ' class="quiet"'));
    y += 15;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">
<title>socketpair against its peers</title>
<style>
svg { font: 12px system-ui, sans-serif; }
.paper { fill: #ffffff; }
text { fill: #1f2328; }
.title { font-weight: 600; font-size: 13px; }
.quiet { fill: #59636e; font-size: 11px; }
.grid { stroke: #d1d9e0; }
text.ours { fill: #0969da; font-weight: 600; }
.dot { fill: #6e7781; stroke: #6e7781; stroke-width: 1.5; }
.spread { stroke: #6e7781; stroke-width: 1.5; }
.dot.ours { fill: #0969da; stroke: #0969da; }
.spread.ours { stroke: #0969da; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #0d1117; }
  text { fill: #f0f6fc; }
  .quiet { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  text.ours { fill: #58a6ff; }
  .dot { fill: #9198a1; stroke: #9198a1; }
  .spread { stroke: #9198a1; }
  .dot.ours { fill: #58a6ff; stroke: #58a6ff; }
  .spread.ours { stroke: #58a6ff; }
}
.dot.hollow { fill: none; }
</style>
<rect class="paper" width="100%" height="100%" rx="6"/>
${parts.join("\n")}
</svg>
`;
}
