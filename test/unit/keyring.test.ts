import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { Secret } from '../../src/core/secret.ts';
import {
  addKey,
  createKeyring,
  destroyKey,
  findActiveKey,
  findKey,
  formatKeyring,
  parseKeyringText,
  rotateKey,
  selectKey,
  type Keyring,
} from '../../src/keys/keyring.ts';
import { parseKeyring, selectKeyringKey } from '../../src/keys/parse-keyring.ts';
import { readKeyEncryptionKey, readKeyring } from '../../src/keys/read-key-encryption-key.ts';

const name = 'file:ring';
const day = (number: number): Date => new Date(Date.UTC(2026, 10, number));
const key = (byte: number): Secret => new Secret(Buffer.alloc(32, byte));

/** The id of 32 bytes 0x11, computed with Python's hmac module by docs/format.md. */
const firstId = '51f9aa3a906769f5';

/** Three keys: destroyed, retired, active. */
function threeKeys(): Keyring {
  const rotated = rotateKey(
    rotateKey(createKeyring(key(0x11), day(1).toISOString()), key(0x22), day(2)),
    key(0x33),
    day(3),
  );
  return destroyKey(rotated, firstId, { name, now: day(4) });
}

const idsOf = ({ keys }: Keyring): string[] => keys.map(({ id }) => id);
const statesOf = ({ keys }: Keyring): string[] => keys.map(({ state }) => state);
const bytesOf = (secret: Secret): string => Buffer.from(secret.reveal()).toString('hex');

describe('keyring', () => {
  it('has one active key, and keeps the ones before it for reading', () => {
    const keyring = threeKeys();
    assert.deepEqual(statesOf(keyring), ['destroyed', 'retired', 'active']);
    assert.equal(bytesOf(findActiveKey(keyring).secret), '33'.repeat(32));
    const [destroyed, retired, active] = keyring.keys;
    assert.partialDeepStrictEqual(destroyed, { retiredAt: day(2).toISOString(), destroyedAt: day(4).toISOString() });
    assert.partialDeepStrictEqual(retired, { createdAt: day(2).toISOString(), retiredAt: day(3).toISOString() });
    assert.equal(active?.createdAt, day(3).toISOString());
  });

  it('is never changed, only replaced', () => {
    const before = createKeyring(key(0x11), null);
    const after = rotateKey(before, key(0x22), day(2));
    assert.deepEqual(statesOf(before), ['active']);
    assert.deepEqual(statesOf(after), ['retired', 'active']);
  });

  it('takes keys from elsewhere as retired ones', () => {
    const keyring = addKey(createKeyring(key(0x22), null), {
      secret: key(0x11),
      createdAt: null,
      retiredAt: day(1).toISOString(),
    });
    assert.deepEqual(statesOf(keyring), ['active', 'retired']);
    assert.equal(selectKey(keyring, { id: firstId, name }).state, 'retired');
  });

  it('takes no key twice, not even one that was destroyed', () => {
    const keyring = threeKeys();
    const retiredAt = day(5).toISOString();
    for (const [byte, state] of [
      [0x11, 'destroyed'],
      [0x22, 'retired'],
      [0x33, 'active'],
    ] as const) {
      const refused = { kind: 'conflict', message: new RegExp(`has key [0-9a-f]{16} already, and it is ${state}`) };
      assert.throws(() => addKey(keyring, { secret: key(byte), createdAt: null, retiredAt }), refused);
      assert.throws(() => rotateKey(keyring, key(byte), day(5)), refused);
    }
  });

  it('destroys retired keys only, and each once', () => {
    const keyring = threeKeys();
    const now = day(5);
    const active = findActiveKey(keyring).id;
    assert.throws(() => destroyKey(keyring, active, { name, now }), { kind: 'conflict', message: /is the active one/ });
    assert.throws(() => destroyKey(keyring, firstId, { name, now }), {
      kind: 'key',
      message: /was destroyed at 2026-11-04/,
    });
    assert.throws(() => destroyKey(keyring, '0'.repeat(16), { name, now }), {
      kind: 'key',
      message: /has no key 0{16}/,
    });
  });

  it('names reference and id when a key is not there, and says what is', () => {
    const keyring = threeKeys();
    assert.throws(() => selectKey(keyring, { id: 'ffff', name }), {
      kind: 'key',
      message: `keyring ${name} has no key ffff; its keys: ${idsOf(keyring).join(', ')}`,
    });
    assert.equal(findKey(keyring, 'ffff'), null);
  });

  it('wipes its keys when it is disposed of, and never prints them', () => {
    const keyring = threeKeys();
    assert.doesNotMatch(inspect(keyring, { depth: 9 }), /33, 33|3333/);
    const { secret } = findActiveKey(keyring);
    keyring[Symbol.dispose]();
    assert.equal(bytesOf(secret), '00'.repeat(32));
  });
});

describe('text of a keyring', () => {
  it('reads back as it was written', () => {
    const keyring = threeKeys();
    const text = formatKeyring(keyring);
    const read = parseKeyringText(text, name);
    assert.deepEqual(
      read.keys.map((key) => (key.state === 'destroyed' ? key : { ...key, secret: bytesOf(key.secret) })),
      keyring.keys.map((key) => (key.state === 'destroyed' ? key : { ...key, secret: bytesOf(key.secret) })),
    );
  });

  it('is JSON with the facts in it, and without the material of what was destroyed', () => {
    const text = formatKeyring(threeKeys()).revealText();
    const document = JSON.parse(text) as { keys: object[] };
    assert.partialDeepStrictEqual(document, { format: 'librelog-backup-keyring', version: 1 });
    assert.deepEqual(document.keys[0], {
      id: firstId,
      createdAt: day(1).toISOString(),
      state: 'destroyed',
      retiredAt: day(2).toISOString(),
      destroyedAt: day(4).toISOString(),
    });
    assert.ok(!text.includes(Buffer.alloc(32, 0x11).toString('base64')));
    assert.ok(text.includes(Buffer.alloc(32, 0x22).toString('base64')));
  });

  const good = JSON.parse(formatKeyring(threeKeys()).revealText()) as { keys: Record<string, unknown>[] };
  const withKey = (index: number, change: object): object => ({
    ...good,
    keys: good.keys.map((key, at) => (at === index ? { ...key, ...change } : key)),
  });
  const secretMaterial = 'aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ=';
  const wrong: [string, unknown, RegExp][] = [
    ['a newer version', { ...good, version: 2 }, /has version 2, and this program reads version 1/],
    ['an unknown field', { ...good, extra: secretMaterial }, /is malformed: its top level/],
    ['no keys', { ...good, keys: [] }, /0 keys are active/],
    ['two active keys', withKey(1, { ...good.keys[2], retiredAt: undefined }), /2 keys are active/],
    ['the same key twice', { ...good, keys: [...good.keys, good.keys[1]] }, /two keys have the same id/],
    ['another key than the id says', withKey(2, { material: secretMaterial }), /is damaged: its material does not fit/],
    ['material of another length', withKey(2, { material: 'aHVudGVyMg==' }), /is damaged: its material does not fit/],
    ['material that is not base64', withKey(2, { material: 'hunter2!' }), /is malformed: keys\.2\.material/],
    ['a destroyed key with material', withKey(0, { material: secretMaterial }), /is malformed: keys\.0/],
    ['an unknown state', withKey(1, { state: 'hunter2' }), /is malformed: keys\.1\.state/],
    ['a time that is none', withKey(1, { createdAt: 'hunter2' }), /is malformed: keys\.1\.createdAt/],
    ['an id that is none', withKey(1, { id: 'hunter2' }), /is malformed: keys\.1\.id/],
  ];
  for (const [what, document, message] of wrong) {
    it(`is refused with ${what}, and not repeated`, () => {
      assert.throws(
        () => parseKeyring(Secret.fromText(JSON.stringify(document)), name),
        (error) => {
          assert.ok(error instanceof Error && 'kind' in error && error.kind === 'key');
          assert.match(error.message, message);
          assert.ok(error.message.includes(name));
          assert.doesNotMatch(inspect(error, { depth: 9 }).replace(/\n\s+at .*/g, ''), /hunter2|aHVud/);
          return true;
        },
      );
    });
  }

  it('is refused when cut off anywhere, and never taken for a plain key', () => {
    const text = formatKeyring(threeKeys()).revealText().trimEnd();
    for (let length = 50; length < text.length; length += 1) {
      assert.throws(() => parseKeyring(Secret.fromText(text.slice(0, length)), name), {
        kind: 'key',
        message: /is not JSON/,
      });
    }
  });
});

describe('a plain key', () => {
  it('is a keyring of one active key of unknown age', () => {
    const keyring = parseKeyring(Secret.fromText(`${'11'.repeat(32)}\n`), name);
    assert.partialDeepStrictEqual(keyring.keys, [{ id: firstId, createdAt: null, state: 'active' }]);
  });

  it('has the age that the comment of its file gives, unless that speaks of another key', () => {
    const file = (id: string) =>
      `# librelog-backup AES-256 key ${id}, made 2026-11-23T23:14:05.000Z\n${'11'.repeat(32)}\n`;
    const ageOf = (text: string) => parseKeyring(Secret.fromText(text), name).keys[0]?.createdAt;
    assert.equal(ageOf(file(firstId)), '2026-11-23T23:14:05.000Z');
    assert.equal(ageOf(file('0'.repeat(16))), null);
    assert.equal(ageOf(file(firstId).replace('2026-', 'x')), null);
  });

  it('is only itself', () => {
    const secret = Secret.fromText('11'.repeat(32));
    assert.equal(selectKeyringKey(secret, { name }).id, firstId);
    assert.equal(selectKeyringKey(secret, { name, id: firstId }).id, firstId);
    assert.throws(() => selectKeyringKey(secret, { name, id: 'abcd' }), {
      kind: 'key',
      message: `secret ${name} is key ${firstId}, not key abcd`,
    });
  });
});

describe('a reference to a keyring', () => {
  const env = {
    RING: formatKeyring(threeKeys()).revealText(),
    FIELD: JSON.stringify({ ring: formatKeyring(threeKeys()).revealText() }),
    PLAIN: '11'.repeat(32),
  };
  const [destroyed = '', retired = '', active = ''] = idsOf(threeKeys());

  it('means the active key, and with an id the key of that id; the version it gives leads back to it', async () => {
    for (const [reference, id, byte] of [
      ['env:RING', active, '33'],
      ['env:FIELD#ring', active, '33'],
      [`env:RING@${active}`, active, '33'],
      [`env:RING@${retired}`, retired, '22'],
      [`env:FIELD#ring@${retired}`, retired, '22'],
    ] as const) {
      const read = await readKeyEncryptionKey(reference, { env });
      assert.deepEqual(
        { id: read.keyId, version: read.version, key: bytesOf(read.secret) },
        { id, version: id, key: byte.repeat(32) },
      );
    }
  });

  it('fails with key, naming reference and id, for a key that is not there or not any more', async () => {
    await assert.rejects(readKeyEncryptionKey(`env:RING@${destroyed}`, { env }), {
      kind: 'key',
      message: new RegExp(`key ${destroyed} of keyring env:RING@${destroyed} was destroyed`),
    });
    await assert.rejects(readKeyEncryptionKey('env:RING@9', { env }), {
      kind: 'key',
      message: /env:RING@9 has no key 9/,
    });
    await assert.rejects(readKeyEncryptionKey('env:PLAIN@9', { env }), {
      kind: 'key',
      message: /env:PLAIN@9 is key .*, not key 9/,
    });
  });

  it('gives no version for a plain key', async () => {
    const read = await readKeyEncryptionKey(`env:PLAIN@${firstId}`, { env });
    assert.deepEqual([read.keyId, read.version], [firstId, undefined]);
  });

  it('can give all keys', async () => {
    assert.deepEqual(statesOf((await readKeyring('env:RING', { env })).keyring), ['destroyed', 'retired', 'active']);
    assert.deepEqual(statesOf((await readKeyring('env:PLAIN', { env })).keyring), ['active']);
  });
});
