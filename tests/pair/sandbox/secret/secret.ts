/** What no child of these tests may see: it lies outside of every child's directory. */
export const secret = "a secret beside the sandbox";
