import assert from 'node:assert/strict';

/** Forms in which a secret may turn up. */
function formsOf(secret: string | Uint8Array): string[] {
  const bytes = Buffer.from(secret);
  const forms = [bytes.toString('latin1'), bytes.toString('base64'), bytes.toString('hex')];
  if (typeof secret !== 'string') return forms;
  const raw = Buffer.from(secret, 'hex');
  const decoded = raw.byteLength * 2 === secret.length ? [raw.toString('base64'), raw.toString('latin1')] : [];
  return [...forms, secret, encodeURIComponent(secret), ...decoded];
}

/** Fails, without repeating it, when one of the secrets is in `text` in any form. `where` is for the message. */
export function assertNoSecretIn(
  text: string,
  secrets: Readonly<Record<string, string | Uint8Array>>,
  where: string,
): void {
  for (const [name, secret] of Object.entries(secrets)) {
    for (const form of formsOf(secret)) assert.ok(!text.includes(form), `${name} is in ${where}`);
  }
}
