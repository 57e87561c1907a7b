// deno_conn.ts, in a process that has loaded this module: what loading alone costs a child.
//
// usage: deno run -A deno_import.ts WORKLOAD SIZE COUNT WARM

import "../../../mod.ts";
import "./deno_conn.ts";
