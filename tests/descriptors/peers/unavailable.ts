/** Prints the error that the first call throws on the system named in the argument. */
const [os = Deno.build.os] = Deno.args;
Object.defineProperty(Deno, "build", { value: { ...Deno.build, os } });
const { closeDescriptor } = await import("../../../descriptors.ts");
try {
  closeDescriptor(0);
} catch (error) {
  // deno-lint-ignore no-console -- the test reads it
  console.log(String(error));
}
