/** The `code` of an error of the system, Node or a library (`ENOENT`, `ECONNRESET`), or an empty text for any other value. */
export function errorCode(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' ? code : '';
}
