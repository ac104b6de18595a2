import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { openKey } from '../../src/backup/open-key.ts';
import { BackupError } from '../../src/core/backup-error.ts';
import { createDataKey } from '../../src/crypto/data-key.ts';
import type { WrappedKey } from '../../src/core/wrapped-key.ts';
import type { KeyAdmin, KeyVersion } from '../../src/keys/key-admin.ts';
import { openKeyAdmin } from '../../src/keys/open-key-admin.ts';
import type { Environment } from '../../src/keys/read-secret.ts';
import { parseKeyReference } from '../../src/keys/secret-reference.ts';
import { quietContext } from '../support/quiet-context.ts';

/** One kind of place where keys are looked after. */
export interface KeyAdminUnderTest {
  readonly env: () => Environment;
  /** A reference to a key that is not there yet, another one at each call. */
  readonly newReference: () => Promise<string>;
  /** What the place destroys at once. */
  readonly destroys: 'a version' | 'the key' | 'nothing';
  /** Whether the caller sees the versions that a rotation makes; otherwise there is one, as old as the last rotation. */
  readonly hasVersions: boolean;
  /** Whether the place knows when a version was made; moto answers with the present second. */
  readonly remembersDates: boolean;
}

const someBackup = { backupId: '20261124T031117Z-0a1b2c', label: 'librelog' };

/** Registers the tests of the contract of `KeyAdmin`, by what its keys then wrap and open. */
export function testKeyAdmin(name: string, subject: KeyAdminUnderTest): void {
  describe(`key admin contract: ${name}`, () => {
    testMaking(subject);
    testRotation(subject);
    destructionTests[subject.destroys](subject);
  });
}

async function open(subject: KeyAdminUnderTest, text: string, signal?: AbortSignal): Promise<KeyAdmin> {
  const access = { env: subject.env(), ...(signal !== undefined && { signal }) };
  return await openKeyAdmin(parseKeyReference(text), access);
}

/** As a backup does: with a key that is opened anew. */
async function wrap(subject: KeyAdminUnderTest, text: string): Promise<WrappedKey> {
  using wrapper = await openKey(text, { ...quietContext(), env: subject.env() });
  using dataKey = createDataKey();
  return await wrapper.wrap(dataKey, someBackup);
}

async function opens(subject: KeyAdminUnderTest, text: string, wrapped: WrappedKey): Promise<boolean> {
  using wrapper = await openKey(text, { ...quietContext(), env: subject.env() });
  using dataKey = await wrapper.unwrap(wrapped, someBackup);
  return dataKey !== null;
}

function assertNames(wrapped: WrappedKey, { keyId, version }: KeyVersion): void {
  assert.ok(wrapped.provider !== 'passphrase');
  assert.equal(wrapped.keyId, keyId);
  if (wrapped.keyVersion !== undefined) assert.equal(wrapped.keyVersion, version);
}

function comparable({ remembersDates }: KeyAdminUnderTest, versions: readonly KeyVersion[]): unknown[] {
  return remembersDates ? [...versions] : versions.map((version) => ({ ...version, createdAt: null }));
}

async function statesOf(admin: KeyAdmin): Promise<string[]> {
  return (await admin.list()).map(({ state }) => state);
}

function testMaking(subject: KeyAdminUnderTest): void {
  it('makes a key where there is none, which wraps and opens from then on', async () => {
    const text = await subject.newReference();
    using admin = await open(subject, text);
    assert.equal(admin.name, text);
    await assert.rejects(admin.list(), (error) => {
      assert.ok(error instanceof BackupError && error.kind === 'key', inspect(error));
      return error.message.includes(text.slice(text.indexOf(':') + 1));
    });
    await assert.rejects(admin.rotate(), { kind: 'key' });
    const made = await admin.generate();
    assert.equal(made.state, 'active');
    assert.ok(made.createdAt !== null && Math.abs(made.createdAt.getTime() - Date.now()) < 60_000);
    const wrapped = await wrap(subject, text);
    assertNames(wrapped, made);
    assert.ok(await opens(subject, text, wrapped));
    const listed = await admin.list();
    assert.deepEqual(
      listed.map(({ keyId, version, state }) => ({ keyId, version, state })),
      [{ keyId: made.keyId, version: made.version, state: 'active' }],
    );
  });

  it('never makes a key over another', async () => {
    const text = await subject.newReference();
    using admin = await open(subject, text);
    await admin.generate();
    const wrapped = await wrap(subject, text);
    const before = await admin.list();
    await assert.rejects(admin.generate(), { kind: 'conflict' });
    assert.deepEqual(comparable(subject, await admin.list()), comparable(subject, before));
    assert.ok(await opens(subject, text, wrapped));
  });

  it('throws the reason of a signal that has been aborted', async () => {
    const text = await subject.newReference();
    const controller = new AbortController();
    using admin = await open(subject, text, controller.signal);
    const reason = new Error('enough');
    controller.abort(reason);
    await assert.rejects(admin.list(), (error) => error === reason);
    await assert.rejects(admin.generate(), (error) => error === reason);
    using other = await open(subject, text);
    await assert.rejects(other.list(), { kind: 'key' });
  });
}

function testRotation(subject: KeyAdminUnderTest): void {
  it('wraps with the new version after a rotation, and goes on opening what the earlier ones wrapped', async () => {
    const text = await subject.newReference();
    using admin = await open(subject, text);
    const versions = [await admin.generate()];
    const wrapped = [await wrap(subject, text)];
    for (let round = 0; round < 2; round += 1) {
      versions.push(await admin.rotate());
      wrapped.push(await wrap(subject, text));
    }
    for (const [index, version] of versions.entries()) {
      const key = wrapped[index];
      assert.ok(key !== undefined);
      assertNames(key, version);
      assert.ok(await opens(subject, text, key));
    }
    const shown = subject.hasVersions ? versions : versions.slice(-1);
    assert.deepEqual(
      (await admin.list()).map(({ keyId, version }) => ({ keyId, version })),
      shown.map(({ keyId, version }) => ({ keyId, version })),
    );
    assert.deepEqual(await statesOf(admin), ['retired', 'retired', 'active'].slice(-shown.length));
  });

  it('keeps both versions when two rotate at once, or one of the two says conflict', async () => {
    const text = await subject.newReference();
    using one = await open(subject, text);
    using other = await open(subject, text);
    await one.generate();
    const first = await wrap(subject, text);
    const outcomes = await Promise.allSettled([one.rotate(), other.rotate()]);
    const made = outcomes.filter(({ status }) => status === 'fulfilled').length;
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') assert.equal((outcome.reason as BackupError).kind, 'conflict');
    }
    assert.ok(made > 0);
    assert.equal((await one.list()).length, subject.hasVersions ? 1 + made : 1);
    assert.ok(await opens(subject, text, first));
  });
}

function testDestruction(subject: KeyAdminUnderTest): void {
  it('destroys the oldest version, and says so when what it wrapped is opened', async () => {
    const text = await subject.newReference();
    using admin = await open(subject, text);
    const first = await admin.generate();
    const lost = await wrap(subject, text);
    await admin.rotate();
    const kept = await wrap(subject, text);
    await admin.destroy(first);
    await assert.rejects(opens(subject, text, lost), (error) => {
      assert.ok(error instanceof BackupError && error.kind === 'key', inspect(error));
      assert.ok(error.message.includes(first.version ?? ''), error.message);
      return error.message.includes(text.slice(text.indexOf(':') + 1));
    });
    assert.ok(await opens(subject, text, kept));
    assert.deepEqual(await statesOf(admin), ['destroyed', 'active']);
  });

  it('does not destroy the active version while older ones are there to be read', async () => {
    const text = await subject.newReference();
    using admin = await open(subject, text);
    await admin.generate();
    const active = await admin.rotate();
    const wrapped = await wrap(subject, text);
    await assert.rejects(admin.destroy(active), { kind: 'conflict' });
    assert.ok(await opens(subject, text, wrapped));
    assert.deepEqual(await statesOf(admin), ['retired', 'active']);
  });

  it('fails with key for a version that there never was', async () => {
    const text = await subject.newReference();
    using admin = await open(subject, text);
    const made = await admin.generate();
    const never: KeyVersion = { ...made, keyId: '0'.repeat(16), version: '99' };
    await assert.rejects(admin.destroy(never), { kind: 'key' });
    assert.deepEqual(await statesOf(admin), ['active']);
  });
}

function testWholeDestruction(subject: KeyAdminUnderTest): void {
  it('destroys the key with all that it has wrapped, and no other key', async () => {
    const text = await subject.newReference();
    using admin = await open(subject, text);
    const made = await admin.generate();
    await assert.rejects(admin.destroy({ ...made, keyId: `${made.keyId}x` }), { kind: 'key' });
    assert.deepEqual(await statesOf(admin), ['active']);
    await admin.rotate();
    await admin.destroy(made);
    assert.deepEqual(await statesOf(admin), ['destroyed']);
  });
}

function testNoDestruction(subject: KeyAdminUnderTest): void {
  it('fails with usage, and says how to do it, where one version cannot be destroyed', async () => {
    const text = await subject.newReference();
    using admin = await open(subject, text);
    const first = await admin.generate();
    const wrapped = await wrap(subject, text);
    await admin.rotate();
    await assert.rejects(admin.destroy(first), (error) => {
      assert.ok(error instanceof BackupError && error.kind === 'usage', inspect(error));
      return error.message.includes(text) && error.hint !== undefined;
    });
    assert.ok(await opens(subject, text, wrapped));
    assert.deepEqual(await statesOf(admin), ['retired', 'active']);
  });
}

const destructionTests: Readonly<Record<KeyAdminUnderTest['destroys'], (subject: KeyAdminUnderTest) => void>> = {
  'a version': testDestruction,
  'the key': testWholeDestruction,
  nothing: testNoDestruction,
};
