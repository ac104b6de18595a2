import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { CreateAliasCommand, CreateKeyCommand, DescribeKeyCommand, ListKeysCommand } from '@aws-sdk/client-kms';
import { CreateSecretCommand, DeleteSecretCommand, PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { BackupError } from '../../src/core/backup-error.ts';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import { createDataKey } from '../../src/crypto/data-key.ts';
import type { KeyAdmin, KeyVersion } from '../../src/keys/key-admin.ts';
import { openKeyAdmin } from '../../src/keys/open-key-admin.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { readKeyEncryptionKey } from '../../src/keys/read-key-encryption-key.ts';
import { readSecret } from '../../src/keys/read-secret.ts';
import { isSecret, parseKeyReference, parseSecretReference } from '../../src/keys/secret-reference.ts';
import { makeSecret, motoEnvironment, ownerClients } from '../support/moto-server.ts';

const environment = await motoEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

async function open(text: string): Promise<KeyAdmin> {
  return await openKeyAdmin(parseKeyReference(text), { env: process.env });
}

function statesOf(versions: readonly KeyVersion[]): KeyVersion['state'][] {
  return versions.map(({ state }) => state);
}

describe('a key in AWS Secrets Manager', () => {
  async function keyIdOf(text: string): Promise<string> {
    const { secret, keyId } = await readKeyEncryptionKey(text, { env: process.env });
    secret[Symbol.dispose]();
    return keyId;
  }

  async function textOf(text: string): Promise<string> {
    const { secret } = await readSecret(parseSecretReference(text), { env: process.env });
    return secret.revealText();
  }

  it('is made where there is none, and never over another', async () => {
    const text = `aws-sm:test/${randomUUID()}`;
    using admin = await open(text);
    assert.equal(admin.name, text);
    await assert.rejects(admin.list(), { kind: 'key' });
    const made = await admin.generate();
    assert.equal(made.state, 'active');
    assert.ok(Math.abs((made.createdAt?.getTime() ?? 0) - Date.now()) < 60_000);
    assert.equal(await keyIdOf(text), made.keyId);
    assert.equal(await keyIdOf(`${text}@${made.version}`), made.keyId);
    await assert.rejects(admin.generate(), {
      kind: 'conflict',
      message: `there is a key in ${text} already`,
      hint: /^Rotate it/,
    });
    assert.equal(await keyIdOf(text), made.keyId);
    const [listed, ...others] = await admin.list();
    assert.deepEqual([listed?.keyId, listed?.version, listed?.state], [made.keyId, made.version, 'active']);
    assert.deepEqual(others, []);
  });

  it('is made by one of two at once, and the other says conflict', async () => {
    const text = `aws-sm:test/${randomUUID()}`;
    using one = await open(text);
    using other = await open(text);
    const outcomes = await Promise.allSettled([one.generate(), other.generate()]);
    const [made] = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const [failed] = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    assert.ok(failed instanceof BackupError && failed.kind === 'conflict');
    assert.equal(await keyIdOf(text), made?.keyId);
    assert.equal((await one.list()).length, 1);
  });

  it('becomes the first value of a secret that has none', async () => {
    const name = `test/${randomUUID()}`;
    await ownerClients().secrets.send(new CreateSecretCommand({ Name: name }));
    using admin = await open(`aws-sm:${name}`);
    const { keyId } = await admin.generate();
    assert.equal(await keyIdOf(`aws-sm:${name}`), keyId);
  });

  it('gets new versions, and the earlier ones go on opening what they wrapped', async () => {
    const text = `aws-sm:test/${randomUUID()}`;
    using admin = await open(text);
    const versions = [await admin.generate(), await admin.rotate(), await admin.rotate(), await admin.rotate()];
    assert.equal(new Set(versions.map(({ keyId }) => keyId)).size, 4);
    assert.equal(await keyIdOf(text), versions[3]?.keyId);
    for (const { keyId, version } of versions) assert.equal(await keyIdOf(`${text}@${version}`), keyId);
    const listed = await admin.list();
    assert.deepEqual(
      listed.map(({ keyId, version }) => [keyId, version]),
      versions.map(({ keyId, version }) => [keyId, version]),
    );
    assert.deepEqual(statesOf(listed), ['retired', 'retired', 'retired', 'active']);
  });

  it('keeps both versions when two rotate at once', async () => {
    const text = `aws-sm:test/${randomUUID()}`;
    using one = await open(text);
    using other = await open(text);
    const first = await one.generate();
    const rotated = await Promise.all([one.rotate(), other.rotate()]);
    for (const { keyId, version } of [first, ...rotated]) assert.equal(await keyIdOf(`${text}@${version}`), keyId);
    const listed = await one.list();
    assert.deepEqual(statesOf(listed), ['retired', 'retired', 'active']);
    assert.ok(rotated.some(({ keyId }) => keyId === listed.at(-1)?.keyId));
  });

  it('may be a field, whose neighbours stay letter for letter', async () => {
    const { name } = await makeSecret('{"user": "x",\n "big": 12345678901234567890123}');
    using admin = await open(`aws-sm:${name}#key`);
    await assert.rejects(admin.rotate(), { kind: 'key', message: /has no field "key"; its fields: big, user$/ });
    await assert.rejects(admin.list(), { kind: 'key', message: /has no field "key"/ });
    const made = await admin.generate();
    await assert.rejects(admin.generate(), { kind: 'conflict' });
    assert.match(
      await textOf(`aws-sm:${name}`),
      /^\{"user": "x",\n "big": 12345678901234567890123,"key":"[^"]{44}"\}$/,
    );
    const rotated = await admin.rotate();
    assert.match(
      await textOf(`aws-sm:${name}`),
      /^\{"user": "x",\n "big": 12345678901234567890123,"key":"[^"]{44}"\}$/,
    );
    assert.equal(await keyIdOf(`aws-sm:${name}#key@${made.version}`), made.keyId);
    assert.equal(await keyIdOf(`aws-sm:${name}#key`), rotated.keyId);
    const listed = await admin.list();
    assert.deepEqual(
      listed.map(({ keyId }) => keyId),
      [made.keyId, rotated.keyId],
      'the version without the field is none of the key',
    );
  });

  it('does not take the place of something else', async () => {
    const { name } = await makeSecret('hunter2');
    using admin = await open(`aws-sm:${name}`);
    const noKey = { kind: 'key', message: /an AES-256 key is 32 bytes/ };
    await assert.rejects(admin.rotate(), noKey);
    await assert.rejects(admin.list(), noKey);
    await assert.rejects(admin.generate(), { kind: 'conflict' });
    using field = await open(`aws-sm:${name}#key`);
    await assert.rejects(field.generate(), { kind: 'key', message: /is not JSON, so it has no fields$/ });
    assert.equal(await textOf(`aws-sm:${name}`), 'hunter2');
  });

  it('may have been something else before, or binary', async () => {
    const { name } = await makeSecret('hunter2');
    const bytes = Buffer.alloc(32, 200);
    const { VersionId } = await ownerClients().secrets.send(
      new PutSecretValueCommand({ SecretId: name, SecretBinary: bytes }),
    );
    using admin = await open(`aws-sm:${name}`);
    const [only, ...others] = await admin.list();
    assert.deepEqual([only?.version, others.length], [VersionId, 0]);
    await admin.rotate();
    assert.equal(await keyIdOf(`aws-sm:${name}@${VersionId}`), only?.keyId);
  });

  it('cannot lose one version, nor get another by the name of one', async () => {
    const text = `aws-sm:test/${randomUUID()}`;
    using admin = await open(text);
    const version = await admin.generate();
    await assert.rejects(admin.destroy(version), {
      kind: 'usage',
      message: `one version of ${text} cannot be destroyed in this service`,
      hint: /staging labels.*delete the whole secret/,
    });
    assert.equal(await keyIdOf(text), version.keyId);
    using pinned = await open(`${text}@AWSPREVIOUS`);
    await assert.rejects(pinned.rotate(), { kind: 'usage', hint: /^Leave out "@"/ });
    assert.equal((await pinned.list()).length, 1);
  });

  it('is not made or rotated in a secret that is about to be deleted', async () => {
    const { name } = await makeSecret('hunter2');
    await ownerClients().secrets.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays: 7 }));
    using admin = await open(`aws-sm:${name}`);
    const deleted = { kind: 'key', message: /scheduled for deletion$/ };
    await assert.rejects(admin.generate(), deleted);
    await assert.rejects(admin.rotate(), deleted);
  });

  it('says when it was made to whoever reads it', async () => {
    const { name } = await makeSecret('hunter2');
    const { createdAt } = await readSecret(parseSecretReference(`aws-sm:${name}`), { env: process.env });
    assert.ok(Math.abs((createdAt?.getTime() ?? 0) - Date.now()) < 60_000);
  });
});

describe('a key of AWS KMS', () => {
  const context = { backupId: '20260101T000000Z-aaaaaa', label: 'librelog' };

  async function openWrapper(text: string): Promise<KeyWrapper> {
    const reference = parseKeyReference(text);
    assert.ok(!isSecret(reference));
    return await openKeyWrapper(reference, { env: process.env });
  }

  async function countKeys(): Promise<number> {
    const { Keys = [] } = await ownerClients().kms.send(new ListKeysCommand({}));
    return Keys.length;
  }

  async function stateOf(keyId: string | null | undefined): Promise<string | undefined> {
    const { KeyMetadata } = await ownerClients().kms.send(new DescribeKeyCommand({ KeyId: keyId ?? '' }));
    return KeyMetadata?.KeyState;
  }

  it('is made with the alias that stands for it, and never twice', async () => {
    const text = `aws-kms:alias/test-${randomUUID()}`;
    using admin = await open(text);
    await assert.rejects(admin.list(), { kind: 'key', message: `cannot look up key ${text}: there is no such key` });
    const made = await admin.generate();
    using wrapper = await openWrapper(text);
    assert.partialDeepStrictEqual(await wrapper.wrap(createDataKey(), context), { keyId: made.keyId });
    const keys = await countKeys();
    await assert.rejects(admin.generate(), { kind: 'conflict', message: `there is a key ${text} already` });
    assert.equal(await countKeys(), keys);
    assert.deepEqual(await admin.list(), [made]);
    assert.deepEqual(await wrapper.createdAt?.(), made.createdAt);
  });

  it('is made by one of two at once, and the key of the other is taken back', async () => {
    const text = `aws-kms:alias/test-${randomUUID()}`;
    const before = await countKeys();
    using one = await open(text);
    using other = await open(text);
    const outcomes = await Promise.allSettled([one.generate(), other.generate()]);
    assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
    const { Keys = [] } = await ownerClients().kms.send(new ListKeysCommand({}));
    const states = await Promise.all(Keys.slice(before).map(async ({ KeyId }) => await stateOf(KeyId)));
    assert.ok(states.length === 1 || states.includes('PendingDeletion'), states.join());
    assert.equal(states.filter((state) => state === 'Enabled').length, 1);
  });

  it('is not made for an ARN or an id', async () => {
    using admin = await open(`aws-kms:${randomUUID()}`);
    await assert.rejects(admin.generate(), { kind: 'usage', hint: /aws-kms:alias\/NAME/ });
  });

  it('is as old as its last rotation, opens what it wrapped before, and stays one key', async () => {
    const { KeyMetadata } = await ownerClients().kms.send(new CreateKeyCommand({}));
    const arn = KeyMetadata?.Arn ?? '';
    const alias = `alias/test-${randomUUID()}`;
    await ownerClients().kms.send(new CreateAliasCommand({ AliasName: alias, TargetKeyId: arn }));
    for (const text of [`aws-kms:${arn}`, `aws-kms:${alias}`]) {
      using admin = await open(text);
      using wrapper = await openWrapper(text);
      const wrapped = await wrapper.wrap(createDataKey(), context);
      const [before] = await admin.list();
      const rotated = await admin.rotate();
      assert.equal(rotated.keyId, arn);
      assert.ok(before?.createdAt != null && rotated.createdAt !== null && rotated.createdAt > before.createdAt);
      assert.deepEqual(await admin.list(), [rotated]);
      assert.deepEqual(await wrapper.createdAt?.(), rotated.createdAt);
      assert.equal((await wrapper.unwrap(wrapped, context))?.sizeBytes, 32);
    }
  });

  it('is scheduled for deletion whole, and counts as destroyed then', async () => {
    using admin = await open(`aws-kms:alias/test-${randomUUID()}`);
    const made = await admin.generate();
    await assert.rejects(admin.destroy({ ...made, keyId: `${made.keyId}x` }), { kind: 'key', message: /is key arn:/ });
    assert.equal(await stateOf(made.keyId), 'Enabled');
    await admin.destroy(made);
    assert.equal(await stateOf(made.keyId), 'PendingDeletion');
    assert.deepEqual(statesOf(await admin.list()), ['destroyed']);
  });

  it('tells no age when there is no such key', async () => {
    using wrapper = await openWrapper('aws-kms:alias/none');
    assert.equal(await wrapper.createdAt?.(), null);
  });
});
