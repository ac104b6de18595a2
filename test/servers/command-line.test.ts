import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { Manifest } from '../../src/catalog/manifest.ts';
import * as azurite from '../support/azurite-server.ts';
import * as gcs from '../support/gcs-server.ts';
import { createSampleDatabase } from '../support/sample-database.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase } from '../support/database-fingerprint.ts';
import * as s3 from '../support/s3-server.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

await Promise.all([s3.makeBucket(), azurite.makeContainer(), gcs.makeBucket()]);

let teller: StoryTeller;
before(async () => {
  teller = await openStoryTeller();
  await createSampleDatabase(teller.cluster, 'sample');
});
after(async () => await teller[Symbol.asyncDispose]());

/** How the command line reaches the test servers: addresses as settings, credentials as their SDKs want them. */
function serverEnvironment(): Record<string, string> {
  return {
    ...s3.s3Surroundings(),
    LIBRELOG_BACKUP_AZURE_ENDPOINT: azurite.azuriteServer().endpoint,
    AZURE_STORAGE_KEY: azurite.azuriteServer().key,
    LIBRELOG_BACKUP_GCS_ENDPOINT: gcs.gcsEndpoint(),
    METADATA_SERVER_DETECTION: 'none',
  };
}

function addresses(): Record<'S3' | 'Azure' | 'Google', string> {
  const prefix = randomUUID();
  return {
    S3: `s3://${s3.bucket}/${prefix}`,
    Azure: `az://${azurite.azuriteServer().account}/${azurite.container}/${prefix}`,
    Google: `gs://${gcs.bucket}/${prefix}`,
  };
}

type Stored = Manifest & { readonly store: string };

describe('the command line with every kind of store', () => {
  it('backs up into all of them at once, and each one brings the database back, is listed, verified and deleted', async () => {
    const story = teller.story();
    const env = serverEnvironment();
    const all = Object.values(addresses());
    const flags = all.flatMap((address) => ['--store', address]);
    const { backups } = await story.ask<{ backups: readonly Stored[] }>(
      ['create', '--database', 'sample', ...aesKey.split(' '), ...flags],
      { env },
    );
    assert.deepEqual(
      backups.map(({ store }) => store),
      all,
    );
    assert.equal(new Set(backups.map(({ objects }) => objects[0]?.sha256)).size, 1);
    const source = await fingerprintDatabase(teller.cluster, 'sample');
    for (const [index, store] of all.entries()) {
      const target = `${story.target}_${index}`;
      await story.succeed(`verify --level decrypt ${aesKey} --store ${store}`, { env });
      await story.succeed(`restore latest ${aesKey} --store ${store} --target ${target} --create-db`, { env });
      assertSameDatabase(await fingerprintDatabase(teller.cluster, target), source);
      await story.succeed(`delete ${backups[0]?.id} --yes --store ${store}`, { env });
      assert.equal(await story.succeed(`list --store ${store}`, { env }), 'no backups\n');
    }
  });

  it('backs up in several streams into all of them at once, and several sessions bring the database back', async () => {
    const story = teller.story();
    const env = serverEnvironment();
    const all = Object.values(addresses());
    const flags = all.map((address) => `--store ${address}`).join(' ');
    await story.succeed(`create --database sample --jobs 4 ${aesKey} ${flags}`, { env });
    const source = await fingerprintDatabase(teller.cluster, 'sample');
    for (const [index, store] of all.entries()) {
      const target = `${story.target}_${index}`;
      await story.succeed(`verify --level decrypt ${aesKey} --store ${store}`, { env });
      const restore = `restore latest ${aesKey} --store ${store} --jobs 4`;
      await story.succeed(`${restore} --target ${target} --create-db`, { env });
      assertSameDatabase(await fingerprintDatabase(teller.cluster, target), source);
    }
  });

  it('leaves nothing in the others when one of them does not exist', async () => {
    const story = teller.story();
    const env = serverEnvironment();
    const { S3, Azure } = addresses();
    const flags = `--store ${S3} --store ${Azure} --store gs://no-such-bucket/a`;
    const run = await story.run(`create --database sample ${aesKey} ${flags}`, { env });
    assert.equal(run.code, 21, run.stderr);
    assert.match(run.stderr, /no-such-bucket/);
    for (const store of [S3, Azure]) {
      assert.equal(await story.succeed(`list --store ${store}`, { env }), 'no backups\n');
    }
  });
});

describe('server-side encryption on the command line', () => {
  async function createIn(story: Story, args: string): Promise<Stored> {
    const { S3 } = addresses();
    const create = `create --database sample ${aesKey} --store ${S3} ${args}`;
    const { backups } = await story.ask<{ backups: readonly Stored[] }>(create, { env: serverEnvironment() });
    const [backup] = backups;
    assert.ok(backup);
    return backup;
  }

  it('asks for a KMS key, records what was applied, and shows it', async () => {
    const story = teller.story();
    const backup = await createIn(
      story,
      `--sse sse-kms --sse-kms-key ${s3.kmsKey} --sse-kms-context team=storage --require-sse`,
    );
    const [object] = backup.objects;
    assert.equal(object?.serverEncryption?.method, 'sse-kms');
    const shown = await story.succeed(`show --store ${backup.store}`, { env: serverEnvironment() });
    assert.match(shown, new RegExp(`^at rest +sse-kms, keyId .*${s3.kmsKey}`, 'm'));
    await story.succeed(`verify --level decrypt ${aesKey} --store ${backup.store}`, { env: serverEnvironment() });
  });

  it("needs the customer's own key for every read", async () => {
    const story = teller.story();
    story.write('sse.key', randomBytes(32).toString('base64'));
    story.write('other.key', randomBytes(32).toString('base64'));
    const { endpoint, caFile } = s3.secureServer();
    const env = {
      ...serverEnvironment(),
      ...(endpoint !== undefined && { LIBRELOG_BACKUP_S3_ENDPOINT: endpoint }),
      ...(caFile !== undefined && { LIBRELOG_BACKUP_CA_FILE: caFile }),
    };
    const { S3: store } = addresses();
    await story.succeed(`create --database sample ${aesKey} --store ${store} --sse-c-key file:sse.key`, { env });
    for (const args of ['', '--sse-c-key file:other.key']) {
      const run = await story.run(`verify --store ${store} ${args}`, { env });
      assert.equal(run.code, 30, run.stderr);
      assert.match(run.stderr, /--sse-c-key/);
    }
    const target = `${story.target}_sse`;
    const restore = `restore latest ${aesKey} --store ${store} --sse-c-key file:sse.key`;
    await story.succeed(`${restore} --target ${target} --create-db`, { env });
  });

  it('fails, and leaves nothing, where the store does not do what was asked', async () => {
    const story = teller.story();
    const { Azure: store } = addresses();
    const env = serverEnvironment();
    // Azurite takes the scope and ignores it.
    const run = await story.run(
      `create --database sample ${aesKey} --store ${store} --azure-encryption-scope backups`,
      { env },
    );
    assert.equal(run.code, 65, run.stderr);
    assert.equal(await story.succeed(`list --store ${store}`, { env }), 'no backups\n');
  });
});
