import { userInfo } from "node:os";

const DIRECTORY_OF_SSHD = "/run/sshd";

async function run(command: string, ...args: string[]) {
  const { success, stderr } = await new Deno.Command(command, { args })
    .output();
  if (success) return;
  throw new Error(`Cannot ${command}: ${new TextDecoder().decode(stderr)}`);
}

/** Make a directory, and tell whether it was not there before. */
async function makeMissing(path: string): Promise<boolean> {
  try {
    await Deno.mkdir(path, { mode: 0o755 });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** An SSH server on 127.0.0.1 for the user that runs the test, with keys of its own; nothing of it stays. */
export interface Sshd extends AsyncDisposable {
  /** Arguments of `ssh` before the command. */
  args: string[];
}

export async function startSshd(sshd: string): Promise<Sshd> {
  // Root's server wants a directory that only an init system makes
  const isMade = Deno.uid() === 0 && await makeMissing(DIRECTORY_OF_SSHD);
  const directory = await Deno.makeTempDir();
  const port = freePort();
  const path = (name: string) => `${directory}/${name}`;
  for (const name of ["host", "user"]) {
    await run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path(name));
  }
  await Deno.copyFile(path("user.pub"), path("authorized_keys"));
  const hostKey = await Deno.readTextFile(path("host.pub"));
  await Deno.writeTextFile(
    path("known_hosts"),
    `[127.0.0.1]:${port} ${hostKey}`,
  );
  await Deno.writeTextFile(
    path("config"),
    [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${path("host")}`,
      `AuthorizedKeysFile ${path("authorized_keys")}`,
      "PidFile none",
      "UsePAM no",
      "StrictModes no", // which would judge the directory above
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "",
    ].join("\n"),
  );
  const server = new Deno.Command(sshd, {
    args: ["-D", "-e", "-f", path("config")],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let log = "";
  const listening = Promise.withResolvers<void>();
  const logged = (async () => {
    const lines = server.stderr.pipeThrough(new TextDecoderStream());
    for await (const part of lines) {
      log += part;
      if (log.includes("Server listening")) listening.resolve();
    }
    listening.reject(new Error(`Cannot start sshd: ${log}`));
  })();
  listening.promise.catch(() => {});
  async function stop() {
    try {
      server.kill();
    } catch {
      // It has ended
    }
    await logged;
    await server.status;
    await Deno.remove(directory, { recursive: true });
    if (isMade) await Deno.remove(DIRECTORY_OF_SSHD);
  }
  try {
    await listening.promise;
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    args: [
      ...["-F", "none", "-i", path("user"), "-p", String(port)],
      ...["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"],
      ...["-o", `UserKnownHostsFile=${path("known_hosts")}`],
      `${userInfo().username}@127.0.0.1`,
    ],
    [Symbol.asyncDispose]: stop,
  };
}
