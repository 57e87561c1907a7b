import { findPython } from "../programs.ts";

export { py } from "./py.ts";

/** Where there is none, tests that need it fail. */
export const python = (await findPython()).command ?? "python3";
