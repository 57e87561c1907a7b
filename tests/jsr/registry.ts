/** A stand-in for https://jsr.io: `deno` asks it instead where `JSR_URL` says so. */

/** A package as it is published. */
export interface Package {
  scope: string;
  name: string;
  version: string;
  exports: unknown;
  /** By their paths, `/mod.ts`. */
  files: Map<string, Uint8Array<ArrayBuffer>>;
}

const STD = new URL("../std/", import.meta.url);

/** Publishing writes into each module what the configuration says of its imports. */
function rewriteImports(
  code: Uint8Array,
  imports: Record<string, string>,
): Uint8Array<ArrayBuffer> {
  let text = new TextDecoder().decode(code);
  for (const [from, to] of Object.entries(imports)) {
    text = text.replaceAll(`"${from}`, `"${to}`);
  }
  return new TextEncoder().encode(text);
}

/** A package of these files, which lie under `root`, beside its `deno.json`. */
export async function packageOf(root: URL, paths: string[]): Promise<Package> {
  const { name, version, exports, imports } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", root)),
  );
  const files: Package["files"] = new Map();
  for (const path of paths) {
    const bytes = await Deno.readFile(new URL(path, root));
    const isModule = /\.ts$/.test(path);
    files.set(`/${path}`, isModule ? rewriteImports(bytes, imports) : bytes);
  }
  const [, scope = "", rest = ""] = /^@(.*)\/(.*)$/.exec(name) ?? [];
  return { scope, name: rest, version, exports, files };
}

function standardPackages(): Promise<Package[]> {
  return Promise.all(
    ["assert", "bytes", "streams"].map((name) =>
      packageOf(new URL(`${name}/`, STD), ["mod.ts"])
    ),
  );
}

async function manifestOf({ exports, files }: Package) {
  const manifest: Record<string, { size: number; checksum: string }> = {};
  for (const [path, bytes] of files) {
    const digest = await crypto.subtle.digest("SHA-256", bytes);
    const checksum = `sha256-${new Uint8Array(digest).toHex()}`;
    manifest[path] = { size: bytes.length, checksum };
  }
  return { manifest, exports };
}

async function respond(packages: Package[], url: string): Promise<Response> {
  const { pathname } = new URL(url);
  for (const found of packages) {
    const { scope, name, version, files } = found;
    const home = `/@${scope}/${name}/`;
    if (!pathname.startsWith(home)) continue;
    const path = pathname.slice(home.length);
    if (path === "meta.json") {
      const versions = { [version]: {} };
      return Response.json({ scope, name, latest: version, versions });
    }
    if (path === `${version}_meta.json`) {
      return Response.json(await manifestOf(found));
    }
    const bytes = files.get(path.slice(version.length));
    if (bytes === undefined) continue;
    const type = path.endsWith(".ts") ? "text/typescript" : "text/plain";
    return new Response(bytes, { headers: { "content-type": type } });
  }
  return new Response(null, { status: 404 });
}

/** A registry that is served until it is disposed of. */
export interface Registry extends AsyncDisposable {
  url: string;
}

/** Serve these packages and what `tests/std` has. */
export async function serveRegistry(
  packages: Package[] = [],
): Promise<Registry> {
  const all = [...await standardPackages(), ...packages];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    ({ url }) => respond(all, url),
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
