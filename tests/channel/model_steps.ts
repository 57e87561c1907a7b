import fc from "fast-check";
import {
  ASK_KINDS,
  type End,
  type EndModel,
  MAX_FRAME_LENGTH,
  pause,
  PREFIX_LENGTH,
} from "./model.ts";

export type Models = [EndModel, EndModel];
export type Ends = [End, End];

/** Something to do at one of the ends. */
class Step implements fc.AsyncCommand<Models, Ends> {
  readonly #name: string;
  readonly #side: 0 | 1;
  readonly #run: (
    end: End,
    model: EndModel,
    peer: EndModel,
  ) => void | Promise<void>;
  readonly #isPossible: (model: EndModel, peer: EndModel) => boolean;

  constructor(
    name: string,
    side: 0 | 1,
    run: (end: End, model: EndModel, peer: EndModel) => void | Promise<void>,
    isPossible: (model: EndModel, peer: EndModel) => boolean = () => true,
  ) {
    this.#name = name;
    this.#side = side;
    this.#run = run;
    this.#isPossible = isPossible;
  }

  check(models: Readonly<Models>): boolean {
    return this.#isPossible(models[this.#side], models[1 - this.#side]!);
  }

  async run(models: Models, ends: Ends): Promise<void> {
    const side = this.#side;
    await this.#run(ends[side], models[side], models[1 - side]!);
  }

  toString(): string {
    return `${"ab"[this.#side]}.${this.#name}`;
  }
}

const anySide = fc.constantFrom<0 | 1>(0, 1);

const anyLength = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: PREFIX_LENGTH, max: 100 }) },
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.integer({ min: PREFIX_LENGTH, max: 70_000 }) },
  // Where batches end.
  {
    weight: 1,
    arbitrary: fc.constantFrom(65_531, 65_532, 65_533, 263_164, 263_165),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: PREFIX_LENGTH, max: MAX_FRAME_LENGTH }),
  },
  { weight: 1, arbitrary: fc.constant(MAX_FRAME_LENGTH + 1) },
);

const anySend = fc.tuple(anySide, anyLength, fc.nat(9)).map(
  ([side, length, bad]) => {
    const isBad = bad === 0 && length > 0;
    return new Step(
      `send(${length}${isBad ? ", bad" : ""})`,
      side,
      (end, model) => end.send(model, { length, isBad }),
    );
  },
);

const anyAsk = fc.tuple(
  anySide,
  fc.constantFrom(...ASK_KINDS),
  fc.constantFrom(0, 50, 70_000, MAX_FRAME_LENGTH),
).map(([side, kind, viewLength]) =>
  new Step(
    kind === "receiveInto" ? `receiveInto(${viewLength})` : kind,
    side,
    (end, model) => end.ask(model, kind, viewLength),
  )
);

/** Turns of the microtask queue, or one of the event loop. */
export const anyTurns = fc.oneof(
  { weight: 4, arbitrary: fc.nat(40) },
  { weight: 2, arbitrary: fc.nat(300) },
  { weight: 2, arbitrary: fc.constant(Infinity) },
);

const anyPause = anyTurns.map((turns) =>
  new Step(`pause(${turns})`, 0, () => pause(turns))
);

const anySignal = anySide.map((side) =>
  new Step("signal", side, (end) => end.signal())
);

/** The wait for a message is given up when it has perhaps come in part. */
const anyChange = fc.tuple(
  anySide,
  anyTurns,
  fc.constantFrom(undefined, ...ASK_KINDS),
).map(([side, turns, kind]) =>
  new Step(
    `abortable, pause(${turns}), signal, ${kind}`,
    side,
    async (end, model) => {
      end.ask(model, "abortable", 0);
      await pause(turns);
      end.signal();
      if (kind) end.ask(model, kind, MAX_FRAME_LENGTH);
    },
  )
);

const anyAnswer = anySide.map((side) =>
  new Step(
    "answered",
    side,
    async (end) => {
      for (const { outcome } of end.asks) await outcome;
    },
    (model, peer) => model.isAnswered(peer),
  )
);

const anyFlush = anySide.map((side) =>
  new Step("flush", side, (end, model) => end.flush(model, "flush"))
);

const anyEnd = fc.oneof(
  fc.tuple(
    anySide,
    fc.constantFrom("closeWrite" as const, "close" as const),
  ).map(([side, name]) =>
    new Step(name, side, (end, model) => end.flush(model, name))
  ),
  anySide.map((side) =>
    new Step("abort", side, (end, model) => end.abort(model))
  ),
  anySide.map((side) =>
    new Step(
      "cancel",
      side,
      (end, model) => end.cancel(model),
      // A web stream that has failed, as by a bad message, cannot be cancelled.
      (model, peer) => !model.hasRead || !peer.sent.some(({ isBad }) => isBad),
    )
  ),
);

export const anySteps = fc.commands([
  fc.oneof(
    { weight: 36, arbitrary: anySend },
    { weight: 30, arbitrary: anyAsk },
    { weight: 15, arbitrary: anyChange },
    { weight: 6, arbitrary: anySignal },
    { weight: 15, arbitrary: anyPause },
    { weight: 9, arbitrary: anyAnswer },
    { weight: 6, arbitrary: anyFlush },
    { weight: 2, arbitrary: anyEnd },
  ),
], { maxCommands: 60, size: "max" });
