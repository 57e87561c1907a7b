import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import fc from "fast-check";
import { type CallContext, type JsonRpc, JsonRpcError } from "../../jsonrpc.ts";
import { connected } from "./connections.ts";

type Step =
  | {
    kind: "call";
    side: 0 | 1;
    turns: number;
    outcome: Outcome;
    depth: number;
  }
  | { kind: "cancel"; at: number }
  | { kind: "notify"; side: 0 | 1; outcome: Outcome }
  | { kind: "turn" };

type Outcome =
  | "result"
  | "nothing"
  | "error"
  | "coded"
  | "unsendable"
  | "unknown";

interface Order {
  n: number;
  turns: number;
  outcome: Outcome;
  depth: number;
}

const OUTCOMES: Outcome[] = [
  "result",
  "nothing",
  "error",
  "coded",
  "unsendable",
  "unknown",
];

const side = fc.constantFrom<0 | 1>(0, 1);
const outcome = fc.constantFrom(...OUTCOMES);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("call" as const),
      side,
      turns: fc.nat(4),
      outcome,
      depth: fc.nat(2),
    }),
  },
  fc.record({ kind: fc.constant("cancel" as const), at: fc.nat(20) }),
  fc.record({ kind: fc.constant("notify" as const), side, outcome }),
  fc.constant({ kind: "turn" as const }),
);
const end = fc.constantFrom("none", "dispose", "both");

class Failure extends Error {}

/** The methods of one side, which may call the other one. */
function methodsOf(
  call: (method: string, params: object) => Promise<unknown> | undefined,
) {
  return {
    async work({ n, turns, outcome, depth }: Order, { signal }: CallContext) {
      for (let turn = 0; turn < turns; turn++) {
        await Promise.resolve();
        signal.throwIfAborted();
      }
      if (depth > 0) {
        return await call("work", {
          n,
          turns,
          outcome,
          depth: depth - 1,
        });
      }
      switch (outcome) {
        case "error":
          throw new RangeError(`error ${n}`);
        case "coded":
          throw new JsonRpcError(n, "coded", { n });
        case "unsendable":
          return 1n;
        case "nothing":
          return;
        default:
          return { n };
      }
    },
  };
}

function assertOutcome(
  result: PromiseSettledResult<unknown>,
  { n, outcome, depth }: Order,
) {
  if (result.status === "fulfilled") {
    if (outcome === "nothing") assertEquals(result.value, null);
    else if (outcome === "result") assertEquals(result.value, { n });
    else throw new Error(`${outcome} became ${JSON.stringify(result.value)}`);
    return;
  }
  const { reason } = result;
  assertInstanceOf(reason, JsonRpcError, String(reason));
  assert(outcome !== "result" && outcome !== "nothing", String(reason));
  if (outcome === "unknown") assertEquals(reason.code, -32601);
  else if (outcome === "error") assertEquals(reason.message, `error ${n}`);
  else if (outcome === "coded") {
    // A method that lets it through passes it on.
    assertEquals([reason.code, reason.data], [n, { n }], String(depth));
  } else assertEquals(reason.code, -32603);
}

Deno.test("JsonRpc settles each call with its own answer, whatever else is called, cancelled or ended", async () => {
  const unhandled: unknown[] = [];
  const onUnhandled = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    unhandled.push(event.reason);
  };
  addEventListener("unhandledrejection", onUnhandled);
  const property = fc.asyncProperty(
    fc.array(step, { maxLength: 40 }),
    end,
    fc.constantFrom(1, 2, 1024),
    fc.constantFrom("$/cancelRequest", "notifications/cancelled"),
    async (steps, ending, limit, cancelMethod) => {
      const options = {
        maxConcurrentRequests: limit,
        cancelMethod,
      };
      const rpcs: JsonRpc<unknown>[] = connected<unknown, unknown>(
        methodsOf((...call) => rpcs[0]?.request(...call)),
        methodsOf((...call) => rpcs[1]?.request(...call)),
        options,
      );
      const calls: {
        order: Order;
        promise: Promise<unknown>;
        controller: AbortController;
      }[] = [];
      for (const step of steps) {
        const n = calls.length;
        if (step.kind === "call") {
          const { turns, outcome, depth } = step;
          const order = {
            n,
            turns,
            outcome,
            // Calls that are nested deeper than the limit wait for each other.
            depth: limit > 2 && outcome !== "unknown" ? depth : 0,
          };
          const method = outcome === "unknown" ? "toString" : "work";
          const controller = new AbortController();
          const promise = rpcs[step.side]!.request(method, order, controller);
          calls.push({ order, promise, controller });
        } else if (step.kind === "cancel") {
          calls[step.at]?.controller.abort(new Failure("cancelled"));
        } else if (step.kind === "notify") {
          void rpcs[step.side]!.notify("work", {
            ...step,
            n,
            turns: 1,
            depth: 0,
          });
        } else await new Promise((done) => setTimeout(done));
      }
      if (ending === "dispose" || ending === "both") {
        await rpcs[0]![Symbol.asyncDispose]();
      }
      if (ending === "both") await rpcs[1]![Symbol.asyncDispose]();
      const results = await Promise.allSettled(
        calls.map(({ promise }) => promise),
      );
      for (const [i, result] of results.entries()) {
        const call = calls[i];
        assert(call);
        const { order, controller } = call;
        const isOther = result.status === "rejected" &&
          !(result.reason instanceof JsonRpcError);
        if (isOther) {
          const wasCancelled = controller.signal.aborted &&
            result.reason === controller.signal.reason;
          assert(wasCancelled || ending !== "none", String(result.reason));
        } else if (ending === "none") assertOutcome(result, order);
      }
      await Promise.all(rpcs.map((rpc) => rpc[Symbol.asyncDispose]()));
    },
  );
  await fc.assert(property, { numRuns: 150 });
  await new Promise((done) => setTimeout(done));
  removeEventListener("unhandledrejection", onUnhandled);
  assertEquals(unhandled, []);
});
