// @std/assert as npm has it, with the types that its JavaScript lacks: see CONTRIBUTING.md
import * as lib from "deno-std/assert/mod.js";

// deno-lint-ignore no-explicit-any -- a constructor's parameters are contravariant: only `any` takes every class
type Constructor<T> = abstract new (...args: any[]) => T;

export const assert: (
  condition: unknown,
  message?: string,
) => asserts condition = lib.assert;
export const assertEquals: <T>(
  actual: T,
  expected: T,
  message?: string,
) => void = lib.assertEquals;
export const assertNotEquals: <T>(
  actual: T,
  expected: T,
  message?: string,
) => void = lib.assertNotEquals;
export const assertStrictEquals: <T>(
  actual: unknown,
  expected: T,
  message?: string,
) => asserts actual is T = lib.assertStrictEquals;
export const assertGreater: <T>(
  actual: T,
  expected: T,
  message?: string,
) => void = lib.assertGreater;
export const assertLessOrEqual: <T>(
  actual: T,
  expected: T,
  message?: string,
) => void = lib.assertLessOrEqual;
export const assertInstanceOf: <T>(
  actual: unknown,
  expected: Constructor<T>,
  message?: string,
) => asserts actual is T = lib.assertInstanceOf;
export const assertMatch: (
  actual: string,
  expected: RegExp,
  message?: string,
) => void = lib.assertMatch;
export const assertStringIncludes: (
  actual: string,
  expected: string,
  message?: string,
) => void = lib.assertStringIncludes;
export const assertThrows: <E extends Error = Error>(
  fn: () => unknown,
  errorClass?: Constructor<E>,
  messageIncludes?: string,
  message?: string,
) => E = lib.assertThrows;
export const assertRejects: <E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass?: Constructor<E>,
  messageIncludes?: string,
  message?: string,
) => Promise<E> = lib.assertRejects;
export const fail: (message?: string) => never = lib.fail;
