/**
 * A schema of any library that follows {@link https://standardschema.dev | Standard Schema}, such
 * as Zod, Valibot and ArkType. This is the part of the standard that `json()` uses.
 *
 * @typeParam Input The type of what is checked.
 * @typeParam Output The type of what the check makes of it.
 */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  /** The properties of the standard. */
  readonly "~standard": StandardSchemaV1.Props<Input, Output>;
}

/** The types that belong to {@linkcode StandardSchemaV1}. */
export declare namespace StandardSchemaV1 {
  /** The properties of a schema. */
  export interface Props<Input = unknown, Output = Input> {
    /** The version of the standard. */
    readonly version: 1;
    /** The name of the library. */
    readonly vendor: string;
    /** Check a value. */
    readonly validate: (
      value: unknown,
    ) => Result<Output> | Promise<Result<Output>>;
    /** The types, which exist for the compiler only. */
    readonly types?: Types<Input, Output> | undefined;
  }

  /** What a check returns. */
  export type Result<Output> = SuccessResult<Output> | FailureResult;

  /** The value fits. */
  export interface SuccessResult<Output> {
    /** What the schema makes of the value. */
    readonly value: Output;
    /** None. */
    readonly issues?: undefined;
  }

  /** The value does not fit. */
  export interface FailureResult {
    /** What is wrong with it. */
    readonly issues: ReadonlyArray<Issue>;
  }

  /** What is wrong with one part of a value. */
  export interface Issue {
    /** What is wrong. */
    readonly message: string;
    /** The way from the value to the part: keys, or objects that hold one. */
    readonly path?: ReadonlyArray<PropertyKey | PathSegment> | undefined;
  }

  /** An object that holds a key. */
  export interface PathSegment {
    /** The key. */
    readonly key: PropertyKey;
  }

  /** The types of a schema. */
  export interface Types<Input = unknown, Output = Input> {
    /** The type of what is checked. */
    readonly input: Input;
    /** The type of what the check makes of it. */
    readonly output: Output;
  }

  /** The type that a schema checks. */
  export type InferInput<Schema extends StandardSchemaV1> = NonNullable<
    Schema["~standard"]["types"]
  >["input"];

  /** The type that a schema makes of what it checks. */
  export type InferOutput<Schema extends StandardSchemaV1> = NonNullable<
    Schema["~standard"]["types"]
  >["output"];
}

/** How many issues the message of an {@linkcode InvalidMessageError} names. */
const MAX_ISSUES = 5;

/** A message does not fit the schema of `json()`. */
export class InvalidMessageError extends TypeError {
  /** The name of the error: `"InvalidMessageError"`. */
  override readonly name = "InvalidMessageError";
  /** What is wrong with the message, as the schema reports it. */
  readonly issues: readonly StandardSchemaV1.Issue[];

  /**
   * Construct a new instance.
   *
   * @param action What failed: the beginning of the message.
   * @param issues What is wrong, which the message goes on with.
   */
  constructor(action: string, issues: readonly StandardSchemaV1.Issue[]) {
    const shown = issues.slice(0, MAX_ISSUES).map(describe);
    const rest = issues.length - shown.length;
    if (rest > 0) shown.push(`and ${rest} more`);
    super(`${action}: ${shown.join("; ")}`);
    this.issues = issues;
  }
}

function describe({ message, path = [] }: StandardSchemaV1.Issue): string {
  const keys = path.map((segment) =>
    String(typeof segment === "object" ? segment.key : segment)
  );
  return keys.length > 0 ? `${keys.join(".")}: ${message}` : message;
}

/**
 * Check a value with a schema, and return what the schema makes of it.
 *
 * @throws {InvalidMessageError} If the value does not fit.
 * @throws {TypeError} If the schema is asynchronous.
 */
export function checkWith(
  schema: StandardSchemaV1,
  value: unknown,
  action: string,
): unknown {
  const result = schema["~standard"].validate(value);
  if (result instanceof Promise) {
    result.catch(() => {}); // It must not be an unhandled rejection.
    throw new TypeError(
      `${action}: its schema is asynchronous, and only synchronous ones can be used`,
    );
  }
  if (isFailure(result)) throw new InvalidMessageError(action, result.issues);
  return result.value;
}

// Without strict, the compiler does not tell the two apart by `issues`.
function isFailure(
  result: StandardSchemaV1.Result<unknown>,
): result is StandardSchemaV1.FailureResult {
  return result.issues !== undefined;
}
