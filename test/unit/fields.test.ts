import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { Secret } from '../../src/core/secret.ts';
import { decryptField, encryptField, needsRotation } from '../../src/fields/encrypt-field.ts';
import { openFieldKeyring, type FieldKeyring } from '../../src/fields/field-keyring.ts';
import { parseToken } from '../../src/fields/token.ts';
import { createKeyring, destroyKey, formatKeyring, rotateKey, type Keyring } from '../../src/keys/keyring.ts';

const context = 'users.email';
const key = (byte: number): Secret => new Secret(Buffer.alloc(32, byte));
const day = (number: number): Date => new Date(Date.UTC(2026, 10, number));

async function open(...keyrings: readonly Keyring[]): Promise<FieldKeyring> {
  const env = Object.fromEntries(
    keyrings.map((keyring, index) => [`RING${index}`, formatKeyring(keyring).revealText()]),
  );
  return await openFieldKeyring({ keys: keyrings.map((_, index) => `env:RING${index}`) }, { env });
}

const one = createKeyring(key(0x11), day(1).toISOString());
const two = rotateKey(one, key(0x22), day(2));

describe('field', () => {
  it('comes back as it was', async () => {
    using keyring = await open(one);
    for (const value of ['', 'a', 'alice@example.com', 'Grüße\n日本\0', 'long '.repeat(100_000)]) {
      assert.equal(decryptField(keyring, encryptField(keyring, value, { context }), { context }).toString(), value);
    }
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    assert.deepEqual(decryptField(keyring, encryptField(keyring, bytes, { context }), { context }), bytes);
  });

  it('gives another token each time, with another nonce', async () => {
    using keyring = await open(one);
    const tokens = Array.from({ length: 1000 }, () => encryptField(keyring, 'same', { context }));
    assert.equal(new Set(tokens.map((token) => parseToken(token).nonce.toString('hex'))).size, 1000);
  });

  it('opens for its context only', async () => {
    using keyring = await open(one);
    const token = encryptField(keyring, 'alice', { context });
    for (const wrong of ['users.emai', 'users.email ', 'Users.email', 'users.phone', '.users.email']) {
      assert.throws(() => decryptField(keyring, token, { context: wrong }), {
        kind: 'integrity',
        message: 'the token was altered, or it belongs to another context',
      });
    }
  });

  it('demands a context', async () => {
    using keyring = await open(one);
    const token = encryptField(keyring, 'alice', { context });
    for (const context of ['', '\ud800']) {
      assert.throws(() => encryptField(keyring, 'alice', { context }), { kind: 'usage', message: /needs a context/ });
      assert.throws(() => decryptField(keyring, token, { context }), { kind: 'usage', message: /needs a context/ });
    }
  });

  it('refuses text that would not come back', async () => {
    using keyring = await open(one);
    assert.throws(() => encryptField(keyring, 'half \ud83d', { context }), { kind: 'usage', message: /surrogate/ });
  });

  it('never has value, context or key in a message', async () => {
    using keyring = await open(one);
    const token = encryptField(keyring, 'hunter2', { context: 'hunter3' });
    for (const attempt of [token.slice(0, -4), `${token}x`, token.replace('lbf1', 'lbf2'), 'hunter2']) {
      assert.throws(
        () => decryptField(keyring, attempt, { context: 'hunter3' }),
        (error) => !/hunter|1111/.test(inspect(error, { depth: 9 }).replace(/\n\s+at .*/g, '')),
      );
    }
  });
});

describe('keys of fields', () => {
  it('encrypt with the active key and decrypt with all', async () => {
    using before = await open(one);
    using after = await open(two);
    const token = encryptField(before, 'alice', { context });
    assert.equal(decryptField(after, token, { context }).toString(), 'alice');
    assert.equal(parseToken(encryptField(after, 'alice', { context })).keyId, two.keys[1]?.id);
  });

  it('are named when the one that is wanted is missing or destroyed', async () => {
    using holder = await open(one);
    const token = encryptField(holder, 'alice', { context });
    const id = one.keys[0]?.id ?? '';
    using without = await open(createKeyring(key(0x33), null));
    assert.throws(() => decryptField(without, token, { context }), {
      kind: 'key',
      message: new RegExp(`wants key ${id}; at hand: [0-9a-f]{16} of env:RING0`),
    });
    using destroyed = await open(destroyKey(two, id, { name: 'ring', now: day(3) }));
    assert.throws(() => decryptField(destroyed, token, { context }), {
      kind: 'key',
      message: `the token wants key ${id}, which env:RING0 says was destroyed`,
    });
  });

  it('may come from several places: the first encrypts, a copy elsewhere makes up for what was destroyed', async () => {
    using before = await open(one);
    const token = encryptField(before, 'alice', { context });
    const shredded = destroyKey(two, one.keys[0]?.id ?? '', { name: 'ring', now: day(3) });
    using both = await open(shredded, one);
    assert.equal(decryptField(both, token, { context }).toString(), 'alice');
    assert.equal(both.active.id, two.keys[1]?.id);
  });

  it('may be one key of a keyring, by its id', async () => {
    const env = { RING: formatKeyring(two).revealText() };
    const id = one.keys[0]?.id ?? '';
    using keyring = await openFieldKeyring({ keys: [`env:RING@${id}`] }, { env });
    assert.deepEqual([...keyring.keys.keys()], [id]);
  });

  it('are not the key that wraps backups, and are wiped', async () => {
    const keyring = await open(one);
    const { secret } = keyring.active;
    assert.notDeepEqual(Buffer.from(secret.reveal()), Buffer.alloc(32, 0x11));
    keyring[Symbol.dispose]();
    assert.deepEqual(Buffer.from(secret.reveal()), Buffer.alloc(32));
  });

  it('fail as references do', async () => {
    await assert.rejects(openFieldKeyring({ keys: [] }, { env: {} }), { kind: 'config', message: /fields need a key/ });
    await assert.rejects(openFieldKeyring({ keys: ['env:NONE'] }, { env: {} }), { kind: 'key', message: /env:NONE/ });
    await assert.rejects(openFieldKeyring({ keys: ['aws-kms:alias/x'] }, { env: {} }), { kind: 'config' });
    const env = { KEY: '11'.repeat(32) };
    const missing = openFieldKeyring({ keys: ['env:KEY'], fernetKeys: ['env:NONE'] }, { env });
    await assert.rejects(missing, { kind: 'key', message: /env:NONE/ });
  });
});

describe('the need to rotate a token', () => {
  it('is there when another key than the active one made it', async () => {
    using before = await open(one);
    using after = await open(two);
    const token = encryptField(before, 'alice', { context });
    assert.equal(needsRotation(token, before), false);
    assert.equal(needsRotation(token, after), true);
    assert.equal(needsRotation(encryptField(after, 'alice', { context }), after), false);
  });

  it('is there when its key is too old, or of unknown age', async () => {
    using keyring = await open(one);
    const token = encryptField(keyring, 'alice', { context });
    const maxAgeDays = 90;
    const limit = day(1 + maxAgeDays);
    assert.equal(needsRotation(token, keyring, { maxAgeDays, now: limit }), false);
    assert.equal(needsRotation(token, keyring, { maxAgeDays, now: new Date(limit.getTime() + 1) }), true);
    using ageless = await open(createKeyring(key(0x33), null));
    const other = encryptField(ageless, 'alice', { context });
    assert.equal(needsRotation(other, ageless, { maxAgeDays }), true);
    assert.equal(needsRotation(other, ageless), false);
  });

  it('cannot be told of what is no token', async () => {
    using keyring = await open(one);
    assert.throws(() => needsRotation('alice@example.com', keyring), {
      kind: 'integrity',
      message: /not a whole token/,
    });
  });
});
