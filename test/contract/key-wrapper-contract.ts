import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { BackupError, type ErrorKind } from '../../src/core/backup-error.ts';
import type { KeyWrapper, WrapContext } from '../../src/core/key-wrapper.ts';
import { Secret } from '../../src/core/secret.ts';
import { wrappedKeySchema, type WrappedKey } from '../../src/core/wrapped-key.ts';

/** Wrappers of one kind, of keys that are there before the tests run. */
export interface WrapperUnderTest {
  readonly provider: WrappedKey['provider'];
  /** A wrapper of the key; the test disposes of it. */
  readonly open: (signal?: AbortSignal) => Promise<KeyWrapper>;
  /** A wrapper of another key of the same service. */
  readonly openOther: () => Promise<KeyWrapper>;
  /** A wrapper of a key that does not exist. */
  readonly openMissing: () => Promise<KeyWrapper>;
  /** Whether the service binds what it wraps to the backup. */
  readonly bindsContext: boolean;
  /** Makes a new version of the key, which later wraps take. Absent where the caller cannot see versions. */
  readonly rotate?: () => Promise<void>;
  /** The same wrapped key, but of a version that the key does not have. Absent where only the service can say so. */
  readonly withMissingVersion?: (wrapped: WrappedKey) => WrappedKey;
  /** Disables a version that is not the newest. Absent where the caller cannot see versions. */
  readonly disable?: (version: string) => Promise<void>;
}

/** Registers the tests of the contract of `KeyWrapper`, sentence by sentence. */
export function testKeyWrapper(name: string, subject: WrapperUnderTest): void {
  describe(`key wrapper contract: ${name}`, () => {
    testRoundTrip(subject);
    testForeign(subject);
    testDamage(subject);
    testFailures(subject);
    if (subject.rotate !== undefined) testVersions(subject, subject.rotate);
    if (subject.rotate !== undefined && subject.disable !== undefined) {
      testDisabled({ ...subject, rotate: subject.rotate, disable: subject.disable });
    }
  });
}

export const someBackup: WrapContext = { backupId: '20261124T031117Z-0a1b2c', label: 'Bücher/été "x"' };

export function newDataKey(): Secret {
  return new Secret(randomBytes(32));
}

/** The wrapped key with one bit changed, `fromEnd` bytes before its end. */
export function withFlippedBit(wrapped: WrappedKey, fromEnd = 1): WrappedKey {
  const bytes = Buffer.from(wrapped.wrapped, 'base64');
  const place = bytes.byteLength - fromEnd;
  bytes[place] = (bytes[place] ?? 0) ^ 1;
  return { ...wrapped, wrapped: bytes.toString('base64') };
}

/** Fails with this kind, names the wrapper, and shows nothing of the data key, not even in its cause. */
export async function assertFails(
  pending: Promise<unknown>,
  kind: ErrorKind,
  { name, dataKey }: { readonly name: string; readonly dataKey: Secret },
): Promise<void> {
  await assert.rejects(pending, (error) => {
    assert.ok(error instanceof BackupError, inspect(error));
    assert.equal(error.kind, kind, error.message);
    assert.ok(error.message.includes(name), error.message);
    const bytes = Buffer.from(dataKey.reveal());
    const text = inspect(error, { depth: 9, showHidden: true, breakLength: Number.POSITIVE_INFINITY });
    for (const encoding of ['base64', 'hex'] as const) assert.ok(!text.includes(bytes.toString(encoding)));
    return true;
  });
}

function assertSame(actual: Secret | null, expected: Secret): void {
  assert.ok(actual !== null);
  assert.deepEqual(Buffer.from(actual.reveal()), Buffer.from(expected.reveal()));
}

function testRoundTrip({ open, provider }: WrapperUnderTest): void {
  it('unwraps what it wrapped, also by another wrapper of the same key', async () => {
    using wrapper = await open();
    using other = await open();
    using dataKey = newDataKey();
    const wrapped = await wrapper.wrap(dataKey, someBackup);
    assert.equal(wrapped.provider, provider);
    assert.deepEqual(wrappedKeySchema.parse(wrapped), wrapped);
    assertSame(await wrapper.unwrap(wrapped, someBackup), dataKey);
    assertSame(await other.unwrap(wrapped, { ...someBackup }), dataKey);
  });

  it('leaves the data key to its owner and shows it nowhere', async () => {
    using wrapper = await open();
    using dataKey = newDataKey();
    const bytes = Buffer.from(dataKey.reveal());
    const wrapped = await wrapper.wrap(dataKey, someBackup);
    assert.deepEqual(Buffer.from(dataKey.reveal()), bytes);
    assert.ok(!Buffer.from(wrapped.wrapped, 'base64').includes(bytes));
    assert.ok(!JSON.stringify(wrapped).includes(bytes.toString('base64')));
  });

  it('wraps and unwraps many at once', async () => {
    using wrapper = await open();
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        using dataKey = newDataKey();
        const context = { backupId: randomUUID(), label: 'many' };
        assertSame(await wrapper.unwrap(await wrapper.wrap(dataKey, context), context), dataKey);
      }),
    );
  });
}

function testForeign({ open, openOther, openMissing }: WrapperUnderTest): void {
  it('answers null when the wrapped key is of another provider or another key', async () => {
    using wrapper = await open();
    using other = await openOther();
    using missing = await openMissing();
    using dataKey = newDataKey();
    const wrapped = await wrapper.wrap(dataKey, someBackup);
    const keyFile: WrappedKey = { provider: 'key', keyId: 'x', algorithm: 'A256KW', wrapped: wrapped.wrapped };
    assert.equal(await wrapper.unwrap(keyFile, someBackup), null);
    assert.equal(await other.unwrap(wrapped, someBackup), null);
    assert.equal(await missing.unwrap(wrapped, someBackup), null);
  });
}

function testDamage({ open, bindsContext }: WrapperUnderTest): void {
  it('fails with integrity when the wrapped key was changed', async () => {
    using wrapper = await open();
    using dataKey = newDataKey();
    const wrapped = await wrapper.wrap(dataKey, someBackup);
    const cut = Buffer.from(wrapped.wrapped, 'base64').subarray(0, -4).toString('base64');
    for (const changed of [withFlippedBit(wrapped, 8), { ...wrapped, wrapped: cut }, { ...wrapped, wrapped: 'AAAA' }]) {
      await assertFails(wrapper.unwrap(changed, someBackup), 'integrity', { name: wrapper.name, dataKey });
    }
    assertSame(await wrapper.unwrap(wrapped, someBackup), dataKey);
  });

  it('fails with integrity when what was wrapped is not 32 bytes', async () => {
    using wrapper = await open();
    // Key Wrap takes multiples of 8.
    for (const size of [16, 40]) {
      using dataKey = new Secret(randomBytes(size));
      const wrapped = await wrapper.wrap(dataKey, someBackup);
      const name = `${wrapper.name}: what it holds is not a data key`;
      await assertFails(wrapper.unwrap(wrapped, someBackup), 'integrity', { name, dataKey });
    }
  });

  if (!bindsContext) return;
  it('fails with integrity when the wrapped key belongs to another backup', async () => {
    using wrapper = await open();
    using dataKey = newDataKey();
    const wrapped = await wrapper.wrap(dataKey, someBackup);
    for (const context of [
      { ...someBackup, backupId: '20261124T031117Z-0a1b2d' },
      { ...someBackup, label: 'other' },
      { backupId: someBackup.label, label: someBackup.backupId },
    ]) {
      await assertFails(wrapper.unwrap(wrapped, context), 'integrity', { name: wrapper.name, dataKey });
    }
  });
}

function testFailures({ open, openMissing }: WrapperUnderTest): void {
  it('fails with key, naming itself, when there is no such key', async () => {
    using missing = await openMissing();
    using dataKey = newDataKey();
    await assertFails(missing.wrap(dataKey, someBackup), 'key', { name: missing.name, dataKey });
  });

  it('throws the reason of its signal once that is aborted', async () => {
    const controller = new AbortController();
    using wrapper = await open(controller.signal);
    using dataKey = newDataKey();
    const wrapped = await wrapper.wrap(dataKey, someBackup);
    const reason = new Error('enough');
    controller.abort(reason);
    await assert.rejects(wrapper.unwrap(wrapped, someBackup), (error) => error === reason);
    await assert.rejects(wrapper.wrap(dataKey, someBackup), (error) => error === reason);
  });
}

function testVersions({ open, withMissingVersion }: WrapperUnderTest, rotate: () => Promise<void>): void {
  it('wraps with the newest version, says which, and unwraps what an older one has wrapped', async () => {
    using wrapper = await open();
    using dataKey = newDataKey();
    const before = await wrapper.wrap(dataKey, someBackup);
    await rotate();
    using later = await open();
    const after = await later.wrap(dataKey, someBackup);
    assert.ok(before.provider !== 'passphrase' && after.provider !== 'passphrase');
    assert.equal(before.keyId, after.keyId);
    assert.ok(before.keyVersion !== undefined && after.keyVersion !== undefined);
    assert.notEqual(before.keyVersion, after.keyVersion);
    for (const wrapped of [before, after]) assertSame(await later.unwrap(wrapped, someBackup), dataKey);
  });

  if (withMissingVersion === undefined) return;
  it('fails with key when the key has no such version', async () => {
    using wrapper = await open();
    using dataKey = newDataKey();
    const wrapped = withMissingVersion(await wrapper.wrap(dataKey, someBackup));
    await assertFails(wrapper.unwrap(wrapped, someBackup), 'key', { name: wrapper.name, dataKey });
  });
}

function testDisabled({
  open,
  rotate,
  disable,
}: WrapperUnderTest & Required<Pick<WrapperUnderTest, 'rotate' | 'disable'>>): void {
  it('fails with key, naming the version, when that is disabled, and goes on with the others', async () => {
    using dataKey = newDataKey();
    using wrapper = await open();
    const wrapped = await wrapper.wrap(dataKey, someBackup);
    assert.ok(wrapped.provider !== 'passphrase' && wrapped.keyVersion !== undefined);
    await rotate();
    await disable(wrapped.keyVersion);
    using later = await open();
    await assertFails(later.unwrap(wrapped, someBackup), 'key', { name: later.name, dataKey });
    await assert.rejects(later.unwrap(wrapped, someBackup), {
      message: new RegExp(`version ${wrapped.keyVersion}\\b`),
    });
    assertSame(await later.unwrap(await later.wrap(dataKey, someBackup), someBackup), dataKey);
  });
}
