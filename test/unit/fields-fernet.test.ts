import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { z } from 'zod/v3';
import { decryptField, encryptField, needsRotation } from '../../src/fields/encrypt-field.ts';
import { openFieldKeyring, type FieldKeyring } from '../../src/fields/field-keyring.ts';

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../vectors/fernet/${name}`, import.meta.url), 'utf8'));
const timed = { token: z.string(), now: z.string(), secret: z.string() };
const generated = z.array(z.object({ ...timed, src: z.string() })).parse(read('generate.json'));
const verified = z.array(z.object({ ...timed, src: z.string(), ttl_sec: z.number() })).parse(read('verify.json'));
const invalid = z.array(z.object({ ...timed, desc: z.string(), ttl_sec: z.number() })).parse(read('invalid.json'));
const made = z.array(z.object({ token: z.string(), value: z.string(), secret: z.string() })).parse(read('python.json'));

const context = 'users.email';
const other = Buffer.alloc(32, 7).toString('base64url');

async function open(...fernetSecrets: readonly string[]): Promise<FieldKeyring> {
  const env = {
    KEY: '11'.repeat(32),
    ...Object.fromEntries(fernetSecrets.map((secret, index) => [`F${index}`, secret])),
  };
  return await openFieldKeyring(
    { keys: ['env:KEY'], fernetKeys: fernetSecrets.map((_, index) => `env:F${index}`) },
    { env },
  );
}

describe('Fernet token', () => {
  it('opens as the specification says', async () => {
    for (const { token, secret, src } of generated) {
      assert.equal(decryptField(await open(secret), token, { context }).toString(), src);
    }
    for (const { token, secret, src, now, ttl_sec: fernetTtlSeconds } of verified) {
      const options = { context, fernetTtlSeconds, now: new Date(now) };
      assert.equal(decryptField(await open(secret), token, options).toString(), src);
    }
  });

  for (const { desc, token, secret, now, ttl_sec: fernetTtlSeconds } of invalid) {
    it(`is refused: ${desc}`, async () => {
      const keyring = await open(secret);
      const decrypt = () => decryptField(keyring, token, { context, fernetTtlSeconds, now: new Date(now) });
      assert.throws(decrypt, { kind: 'integrity' });
    });
  }

  it('is refused for the reason that the specification gives', async () => {
    const reasons: [string, RegExp][] = [
      ['incorrect mac', /was altered, or another key made it/],
      ['payload padding error', /wrong padding/],
      ['far-future TS (unacceptable clock skew)', /made in the future/],
      ['expired TTL', /older than 60 s/],
      ['too short', /not a whole Fernet token/],
      ['trailing characters after b64 padding', /not a whole Fernet token/],
    ];
    for (const [desc, message] of reasons) {
      const vector = invalid.find((vector) => vector.desc === desc);
      assert.ok(vector, desc);
      const options = { context, fernetTtlSeconds: vector.ttl_sec, now: new Date(vector.now) };
      const keyring = await open(vector.secret);
      assert.throws(() => decryptField(keyring, vector.token, options), { message }, desc);
    }
  });

  it('opens at any age unless an age is given', async () => {
    const [{ token, secret, src }] = generated as [(typeof generated)[number]];
    const keyring = await open(secret);
    const future = invalid.find(({ desc }) => desc.startsWith('far-future'));
    assert.equal(decryptField(keyring, token, { context }).toString(), src);
    assert.equal(decryptField(keyring, future?.token ?? '', { context, now: new Date(0) }).toString(), '');
  });

  it('made by Python opens, with any of several keys, with and without its padding', async () => {
    for (const { token, value, secret } of made) {
      assert.equal(decryptField(await open(other, secret), token, { context }).toString(), value);
      assert.equal(decryptField(await open(secret), token.replaceAll('=', ''), { context }).toString(), value);
    }
  });

  it('is refused with any character changed', async () => {
    for (const { token, secret } of made.slice(0, 5)) {
      const keyring = await open(secret);
      const length = token.replaceAll('=', '').length;
      for (let index = 0; index < length; index += 1) {
        const changed = token.slice(0, index) + (token[index] === 'A' ? 'B' : 'A') + token.slice(index + 1);
        assert.throws(() => decryptField(keyring, changed, { context }), { kind: 'integrity' }, changed);
      }
    }
  });

  it('needs a Fernet key of its own', async () => {
    const [{ token }] = generated as [(typeof generated)[number]];
    const none = await open();
    const wrong = await open(other);
    assert.throws(() => decryptField(none, token, { context }), { kind: 'key', message: /no Fernet key is at hand/ });
    assert.throws(() => decryptField(wrong, token, { context }), { kind: 'integrity', message: /another key made it/ });
  });

  it('is never made, and always to be replaced', async () => {
    const [{ token, secret }] = generated as [(typeof generated)[number]];
    const keyring = await open(secret);
    assert.ok(encryptField(keyring, 'x', { context }).startsWith('lbf1.'));
    assert.equal(needsRotation(token, keyring), true);
  });
});
