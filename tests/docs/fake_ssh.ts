/** Add an `ssh` that runs the command locally, and `deno`, to the `PATH` of a project. */
export async function makeSsh(directory: string) {
  await Deno.mkdir(`${directory}/bin`);
  await Deno.symlink(Deno.execPath(), `${directory}/bin/deno`);
  await Deno.writeTextFile(
    `${directory}/bin/ssh`,
    '#!/bin/sh\nshift\nexec sh -c "$*"\n',
    { mode: 0o755 },
  );
}
