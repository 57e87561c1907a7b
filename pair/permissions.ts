import { fileURLToPath } from "node:url";
import {
  type Address,
  BROKER_VARIABLE,
  CONNECTION_VARIABLES,
  DEBUG_VARIABLE,
  isHeld,
  log,
} from "./environment.ts";
import { absolutePath } from "./paths.ts";

/** Kinds of permission; each one's flag is `--allow-` and its name. */
const PERMISSION_NAMES = [
  "env",
  "ffi",
  "import",
  "net",
  "read",
  "run",
  "sys",
  "write",
] as const;

type PermissionName = typeof PERMISSION_NAMES[number];

/** What a child may do: of each kind, everything or a list. */
export type Grants = Partial<Record<PermissionName, true | string[]>>;

export function grantsOf(permissions: Deno.PermissionOptions): Grants {
  const grants: Grants = {};
  if (permissions === "none") return grants;
  for (const name of PERMISSION_NAMES) {
    const value = permissions === "inherit" ? permissions : permissions[name];
    if (value === true || (value === "inherit" && isHeld({ name }))) {
      grants[name] = true;
    } else if (Array.isArray(value)) {
      grants[name] = value.map((item) => grantOf(name, item));
    }
  }
  return grants;
}

function grantOf(name: PermissionName, value: string | URL): string {
  if (value instanceof URL && value.protocol === "file:") {
    return fileURLToPath(value);
  }
  // The child may have another current directory.
  return name === "read" || name === "write" || name === "ffi"
    ? absolutePath(String(value))
    : String(value);
}

export function grantsEverything(grants: Grants): boolean {
  return PERMISSION_NAMES.every((name) => grants[name] === true);
}

/** The flags of `deno run` for a child that may also use its socket, if it has one. */
export function permissionFlags(grants: Grants, address?: Address): string[] {
  const socket: Partial<Record<PermissionName, string[]>> = !address
    ? {}
    : "path" in address
    ? {
      net: [`unix:${address.path}`],
      read: [address.path],
      write: [address.path],
    }
    : { net: [`127.0.0.1:${address.port}`] };
  socket.env = address ? [...CONNECTION_VARIABLES] : [];
  socket.env.push(BROKER_VARIABLE);
  if (log) socket.env.push(DEBUG_VARIABLE);
  return PERMISSION_NAMES.flatMap((name) => {
    const granted = grants[name] ?? [];
    if (granted === true) return [`--allow-${name}`];
    const list = [...granted, ...socket[name] ?? []];
    const item = list.find((item) => item.includes(","));
    if (item !== undefined) {
      const advice = granted.includes(item)
        ? ""
        : ": set TMPDIR, or the option directory, to a path without one";
      throw new TypeError(
        `Cannot grant ${name} access to "${item}": a flag of deno cannot express a comma${advice}`,
      );
    }
    return list.length > 0 ? [`--allow-${name}=${list.join(",")}`] : [];
  });
}
