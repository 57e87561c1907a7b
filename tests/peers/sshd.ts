import { userInfo } from "node:os";

const DIRECTORY_OF_SSHD = "/run/sshd";
const HOST = "server.test";

async function run(command: string, ...args: string[]) {
  const { success, stderr } = await new Deno.Command(command, { args })
    .output();
  if (success) return;
  throw new Error(`Cannot ${command}: ${new TextDecoder().decode(stderr)}`);
}

/** Make a directory. Returns whether it is new. */
async function makeMissing(path: string): Promise<boolean> {
  try {
    await Deno.mkdir(path, { mode: 0o755 });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

/**
 * An SSH server for the user that runs the test, with its own keys, which are deleted at the end. `ssh` starts one for
 * each connection and talks to it over pipes, so it needs no port.
 */
export interface Sshd extends AsyncDisposable {
  /** The arguments of `ssh` that precede the command. */
  args: string[];
}

export async function startSshd(sshd: string): Promise<Sshd> {
  // The server needs a directory that only an init system creates
  const isMade = Deno.uid() === 0 && await makeMissing(DIRECTORY_OF_SSHD);
  const directory = await Deno.makeTempDir();
  const path = (name: string) => `${directory}/${name}`;
  for (const name of ["host", "user"]) {
    await run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path(name));
  }
  await Deno.copyFile(path("user.pub"), path("authorized_keys"));
  const hostKey = await Deno.readTextFile(path("host.pub"));
  await Deno.writeTextFile(
    path("known_hosts"),
    `${HOST} ${hostKey}`,
  );
  await Deno.writeTextFile(
    path("config"),
    [
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
  return {
    args: [
      ...["-F", "none", "-i", path("user")],
      ...["-o", `ProxyCommand='${sshd}' -i -f '${path("config")}'`],
      ...["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"],
      ...["-o", `UserKnownHostsFile=${path("known_hosts")}`],
      `${userInfo().username}@${HOST}`,
    ],
    async [Symbol.asyncDispose]() {
      await Deno.remove(directory, { recursive: true });
      if (isMade) await Deno.remove(DIRECTORY_OF_SSHD);
    },
  };
}
