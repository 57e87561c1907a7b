/** 10,000 different objects as an application would send them, the same in each run. */

import { RECORDS } from "./workloads.ts";

export interface BenchRecord {
  readonly id: number;
  readonly created: string;
  readonly customer: {
    readonly name: string;
    readonly email: string;
    readonly address: {
      readonly street: string;
      readonly city: string;
      readonly zip: string;
    };
    readonly isMember: boolean;
  };
  readonly items: readonly {
    readonly sku: string;
    readonly title: string;
    readonly quantity: number;
    readonly price: number;
  }[];
  readonly tags: readonly string[];
  readonly note: string | null;
  readonly total: number;
}

const NAMES = ["Ada", "Björn", "Chloé", "Dmitri", "Eun-ji", "Fatima", "Grace"];
const FAMILIES = ["Lovelace", "Ångström", "Nguyễn", "Okafor", "Sørensen", "Li"];
const STREETS = ["Elm Street", "Rue de la Paix", "Hauptstraße", "High Road"];
const CITIES = ["London", "Zürich", "São Paulo", "Tokyo", "Nairobi", "Oslo"];
const GOODS = ["taco, beef", "taco, corn & bean", 'cat, 12" plush', "cat food"];
const TAGS = ["gift", "express", "fragile", "returned", "b2b"];

/** Numbers from 0 up to, not including, `limit`: the same ones each time. */
function numbers() {
  let state = 1;
  return (limit: number) => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return (state >>> 8) % limit;
  };
}

export function makeRecords(count: number = RECORDS): BenchRecord[] {
  const next = numbers();
  const pick = (of: readonly string[]) => of[next(of.length)] ?? "";
  return Array.from({ length: count }, (_, id) => {
    const [name, family] = [pick(NAMES), pick(FAMILIES)];
    const items = Array.from({ length: 1 + next(5) }, () => ({
      sku: `SKU-${next(1e6).toString(36)}`,
      title: pick(GOODS),
      quantity: 1 + next(9),
      price: next(100_000) / 100,
    }));
    return {
      id,
      created: new Date(1.7e12 + next(1e7) * 1000).toISOString(),
      customer: {
        name: `${name} ${family}`,
        email: `${name}.${next(10_000)}@example.com`,
        address: {
          street: `${1 + next(200)} ${pick(STREETS)}`,
          city: pick(CITIES),
          zip: String(10_000 + next(90_000)),
        },
        isMember: next(2) === 1,
      },
      items,
      tags: Array.from({ length: next(4) }, () => pick(TAGS)),
      note: next(3) === 0 ? `Ring twice.\nFloor ${next(30)}` : null,
      total: items.reduce(
        (sum, { quantity, price }) => sum + quantity * price,
        0,
      ),
    };
  });
}
