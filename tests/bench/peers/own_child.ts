/**
 * A program that starts itself as its child, and the socket between the two, by hand. `deno_conn.ts` does so too, in one
 * file, as the start of its child is measured.
 */

export const isChild = Deno.args[0] === "child";

/** Connect, as the child, to the parent. */
export function connect(): Promise<Deno.UnixConn> {
  return Deno.connect({
    transport: "unix",
    path: Deno.env.get("BENCH_PATH") ?? "",
  });
}

/** Start the child, and wait until it has connected. */
export async function start(): Promise<[Deno.Conn, Deno.ChildProcess]> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/socket`;
  using listener = Deno.listen({ transport: "unix", path });
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", Deno.mainModule, "child", ...Deno.args],
    env: { BENCH_PATH: path },
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  const conn = await listener.accept();
  await Deno.remove(directory, { recursive: true });
  return [conn, process];
}
