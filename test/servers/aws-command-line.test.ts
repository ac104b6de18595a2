import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CreateKeyCommand } from '@aws-sdk/client-kms';
import { CreateSecretCommand, PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase } from '../support/database-fingerprint.ts';
import { motoEndpoint, ownerClients, region } from '../support/moto-server.ts';
import { createSampleDatabase } from '../support/sample-database.ts';
import { openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
before(async () => {
  teller = await openStoryTeller();
  await createSampleDatabase(teller.cluster, 'sample');
});
after(async () => await teller[Symbol.asyncDispose]());

/** How the command line reaches the server. */
const env = {
  AWS_ENDPOINT_URL: motoEndpoint(),
  AWS_REGION: region,
  AWS_ACCESS_KEY_ID: 'owner',
  AWS_SECRET_ACCESS_KEY: 'owner',
};

async function create(story: Story, key: string): Promise<Manifest> {
  const { backups } = await story.ask<{ backups: readonly Manifest[] }>(
    ['create', '--database', 'sample', '--encrypt', 'aes-256', '--key', key],
    { env },
  );
  assert.ok(backups[0]);
  return backups[0];
}

function wrappedKeysOf({
  encryption,
}: Manifest): Extract<Manifest['encryption'], { wrappedKeys: unknown }>['wrappedKeys'] {
  assert.ok(encryption.method === 'aes-256-gcm-hkdf-1mb');
  return encryption.wrappedKeys;
}

describe('the command line with keys of AWS', () => {
  it('backs up and restores with a key that never leaves KMS, and with no other', async () => {
    const story = teller.story();
    const [key = '', other = ''] = await Promise.all(
      [1, 2].map(async () => (await ownerClients().kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn),
    );
    const [wrapped] = wrappedKeysOf(await create(story, `aws-kms:${key}`));
    assert.partialDeepStrictEqual(wrapped, { provider: 'aws-kms', keyId: key });
    await story.succeed(`restore latest --key aws-kms:${key} --target ${story.target} --create-db`, { env });
    assertSameDatabase(
      await fingerprintDatabase(teller.cluster, story.target),
      await fingerprintDatabase(teller.cluster, 'sample'),
    );
    assert.equal((await story.run(`verify --level decrypt --key aws-kms:${other}`, { env })).code, 30);
  });

  it('opens a backup with the version of the secret that made it, after the secret was changed', async () => {
    const story = teller.story();
    const SecretId = `backup-${randomUUID()}`;
    const toText = (): string => JSON.stringify({ key: randomBytes(32).toString('base64') });
    const { secrets } = ownerClients();
    const { VersionId } = await secrets.send(new CreateSecretCommand({ Name: SecretId, SecretString: toText() }));
    const [wrapped] = wrappedKeysOf(await create(story, `aws-sm:${SecretId}#key`));
    assert.partialDeepStrictEqual(wrapped, { provider: 'key', keyVersion: VersionId });
    await secrets.send(new PutSecretValueCommand({ SecretId, SecretString: toText() }));
    await story.succeed(`verify --level decrypt --key aws-sm:${SecretId}#key`, { env });
    assert.equal((await story.run(`verify --level decrypt --key aws-sm:${SecretId}#key@AWSCURRENT`, { env })).code, 30);
  });
});
