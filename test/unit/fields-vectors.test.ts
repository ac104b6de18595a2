import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { z } from 'zod/v3';
import { decryptField } from '../../src/fields/encrypt-field.ts';
import { openFieldKeyring } from '../../src/fields/field-keyring.ts';
import { parseToken } from '../../src/fields/token.ts';

const pathOf = (name: string): string => fileURLToPath(new URL(`../vectors/fields-v1/${name}`, import.meta.url));
const read = (name: string): string => readFileSync(pathOf(name), 'utf8');

const vectors = z
  .array(
    z.object({
      what: z.string(),
      context: z.string(),
      valueBase64: z.string(),
      keyId: z.string(),
      keyVersion: z.string().optional(),
      token: z.string(),
    }),
  )
  .parse(JSON.parse(read('tokens.json')));
const keyring = await openFieldKeyring({
  keys: ['keyring.json', 'plain-key.txt'].map((name) => `file:${pathOf(name)}`),
});

/** Key material by id, read without this program. */
const stored = (JSON.parse(read('keyring.json')) as { keys: { id: string; material?: string }[] }).keys;
const materials = new Map(
  stored.map(({ id, material }) => [id, material === undefined ? undefined : Buffer.from(material, 'base64')]),
);

/** By the text of docs/fields.md. */
async function openWithWebCrypto(token: string, context: string, material: Uint8Array<ArrayBuffer>): Promise<Buffer> {
  const [header = '', body = ''] = /^(.*\.)(.*)$/.exec(token)?.slice(1) ?? [];
  const raw = Buffer.from(body, 'base64url');
  const base = await crypto.subtle.importKey('raw', material, 'HKDF', false, ['deriveKey']);
  const info = Buffer.from('librelog-backup/v1/field');
  const derivation = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info };
  const key = await crypto.subtle.deriveKey(derivation, base, { name: 'AES-GCM', length: 256 }, false, ['decrypt']);
  const additionalData = Buffer.from(header + context);
  const algorithm = { name: 'AES-GCM', iv: raw.subarray(0, 12), additionalData, tagLength: 128 };
  return Buffer.from(await crypto.subtle.decrypt(algorithm, key, raw.subarray(12)));
}

describe('frozen tokens of version 1', () => {
  for (const { what, context, valueBase64, keyId, keyVersion = '', token } of vectors) {
    const isLost = materials.has(keyId) && materials.get(keyId) === undefined;
    if (isLost) {
      it(`name the key that was destroyed: ${what}`, () => {
        assert.throws(() => decryptField(keyring, token, { context }), {
          kind: 'key',
          message: new RegExp(`wants key ${keyId}, which .*keyring\\.json.* says was destroyed`),
        });
      });
    } else {
      it(`open: ${what}`, async () => {
        assert.equal(decryptField(keyring, token, { context }).toString('base64'), valueBase64);
        const plainKey = Buffer.from(read('plain-key.txt').trim(), 'hex');
        const material = Uint8Array.from(materials.get(keyId) ?? plainKey);
        assert.equal((await openWithWebCrypto(token, context, material)).toString('base64'), valueBase64);
        assert.partialDeepStrictEqual(parseToken(token), { keyId, keyVersion });
      });
    }
  }
});
