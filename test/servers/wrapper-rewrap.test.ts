import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CreateKeyCommand } from '@aws-sdk/client-kms';
import type { Manifest } from '../../src/catalog/manifest.ts';
import type { WrappedKey } from '../../src/core/wrapped-key.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { motoEndpoint, ownerClients, region } from '../support/moto-server.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { administer, mount, server } from '../support/vault-server.ts';

const engine = await mount('transit');

/** How the command line reaches both services. */
const env = {
  AWS_ENDPOINT_URL: motoEndpoint(),
  AWS_REGION: region,
  AWS_ACCESS_KEY_ID: 'owner',
  AWS_SECRET_ACCESS_KEY: 'owner',
  VAULT_ADDR: server.address,
  VAULT_TOKEN: server.rootToken,
};

/** Makes a key and gives its reference. */
const makeKey: Readonly<Record<'aws-kms' | 'vault-transit', () => Promise<string>>> = {
  'aws-kms': async () => `aws-kms:${(await ownerClients().kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn}`,
  'vault-transit': async () => {
    const name = randomUUID();
    await administer(['POST', `${engine}/keys/${name}`]);
    return `vault-transit:${engine}/${name}`;
  },
};

let teller: StoryTeller;
let original: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
  original = await fingerprintDatabase(teller.cluster, 'small');
});
after(async () => await teller[Symbol.asyncDispose]());

async function wrappedKeyOf(story: Story): Promise<WrappedKey> {
  const { encryption } = await story.ask<Manifest>('show');
  assert.ok(encryption.method === 'aes-256-gcm-hkdf-1mb');
  const [only, ...more] = encryption.wrappedKeys;
  assert.ok(only !== undefined && more.length === 0);
  return only;
}

async function rewrap(story: Story, from: string, to: string): Promise<string[]> {
  const command = `keys rewrap --key ${from} --to-key ${to} --yes`;
  const { backups } = await story.ask<{ backups: readonly { outcome: string }[] }>(command, { env });
  return backups.map(({ outcome }) => outcome);
}

async function assertRestores(story: Story, key: string): Promise<void> {
  await story.succeed(`restore latest --target ${story.target} --create-db --key ${key}`, { env });
  assertSameDatabase(await fingerprintDatabase(teller.cluster, story.target), original);
  await teller.cluster.dropDatabase(story.target);
}

const pairs = [
  ['aws-kms', 'aws-kms'],
  ['vault-transit', 'vault-transit'],
  ['aws-kms', 'vault-transit'],
  ['vault-transit', 'aws-kms'],
] as const;

describe('keys rewrap with keys that never leave their service', () => {
  for (const [from, to] of pairs) {
    it(`moves a backup from ${from} to another key of ${to}, which restores it alone`, async () => {
      const story = teller.story();
      const [old, other] = [await makeKey[from](), await makeKey[to]()];
      await story.create('small', `--key ${old}`, { env });
      assert.equal((await story.run(`verify --level decrypt --key ${other}`, { env })).code, 30);
      assert.deepEqual(await rewrap(story, old, other), ['rewrapped']);
      assert.equal((await wrappedKeyOf(story)).provider, to);
      await assertRestores(story, other);
      assert.equal((await story.run(`verify --level decrypt --key ${old}`, { env })).code, 30);
    });
  }

  it('moves a backup to the version of a rotated Transit key, and the version before is not needed any more', async () => {
    const story = teller.story();
    const key = await makeKey['vault-transit']();
    await story.create('small', `--key ${key}`, { env });
    assert.partialDeepStrictEqual(await wrappedKeyOf(story), { keyVersion: '1' });
    assert.deepEqual(await rewrap(story, key, key), ['unchanged']);
    await story.succeed(`keys rotate aes-256 --key ${key}`, { env });
    assert.deepEqual(await rewrap(story, key, key), ['rewrapped']);
    assert.partialDeepStrictEqual(await wrappedKeyOf(story), { keyVersion: '2' });
    const path = key.slice('vault-transit:'.length).replace('/', '/keys/');
    await administer(['POST', `${path}/config`], { min_decryption_version: 2 });
    await assertRestores(story, key);
  });

  it('has nothing to do for a rotated KMS key, which opens what it wrapped before', async () => {
    const story = teller.story();
    const key = await makeKey['aws-kms']();
    await story.create('small', `--key ${key}`, { env });
    await story.succeed(`keys rotate aes-256 --key ${key}`, { env });
    assert.deepEqual(await rewrap(story, key, key), ['unchanged']);
    await assertRestores(story, key);
    const other = await makeKey['aws-kms']();
    await story.succeed(`keys rotate aes-256 --key ${other}`, { env });
    assert.deepEqual(await rewrap(story, key, other), ['rewrapped']);
    await assertRestores(story, other);
  });
});
