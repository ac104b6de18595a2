import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  assertFailure,
  assertNoDatabase,
  assertNoSession,
  assertNothingBelow,
  entriesBelow,
  type ExpectedFailure,
} from '../support/cli-assertions.ts';
import { createLargeDatabase } from '../support/large-database.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { isRoot, mountSmallDisk, withFileSizeLimit, withoutRootRights } from '../support/small-disk.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
  await createLargeDatabase(teller.cluster, 'large', 30);
});
after(async () => await teller[Symbol.asyncDispose]());

describe('the address of a store', () => {
  const wrong: Readonly<Record<string, ExpectedFailure>> = {
    'ftp://host/folder': { code: 3, message: /^store URL is wrong: its scheme "ftp" is unknown$/, hint: /s3:/ },
    backups: { code: 3, message: /it has no scheme/, hint: /file:/ },
    'file://host/folder': { code: 3, message: /it names another machine/, hint: /three slashes/ },
    'file:folder': { code: 3, message: /its path is not absolute/ },
    's3://': { code: 3, message: /the bucket is missing/ },
    's3://user:secret@bucket': { code: 3, message: /it contains credentials$/, hint: /AWS profile/ },
    's3://bucket/prefix?x=secret': { code: 3, message: /it has a query string/ },
    'az://account': { code: 3, message: /store URL is wrong: the container is missing/ },
    'gs://Bucket': { code: 3, message: /store URL is wrong: "Bucket" is not a bucket name/ },
  };
  for (const [url, expected] of Object.entries(wrong)) {
    it(`${url} is refused by create and restore`, async () => {
      const story = teller.story();
      for (const command of [`create -d small ${aesKey}`, `restore ${aesKey} --target none --create-db`]) {
        const run = await story.run(`${command} --store ${url}`);
        assertFailure(run, expected);
        assert.doesNotMatch(run.stderr, /secret/);
      }
      await assertNoDatabase(teller.cluster, 'none');
    });
  }

  it('whose parent folder is missing is not made', async () => {
    const story = teller.story();
    const run = await story.run(`create -d small ${aesKey} --store ${story.storeUrl}/not/mounted`);
    assertFailure(run, { code: 21, message: /the folder ".*\/store\/not" does not exist$/, hint: /mounted/ });
    assertNothingBelow(story.storeFolder);
  });

  it('that is a file is refused', async () => {
    const story = teller.story();
    story.write('store', 'not a folder');
    const run = await story.run(`create -d small ${aesKey}`);
    assertFailure(run, { code: 21, message: /store" does not exist or is not a folder$/, hint: /address/ });
    assert.equal(statSync(story.storeFolder).size, 12);
  });
});

describe('Google Cloud Storage without credentials', () => {
  it('is one error of ours, without the warnings of the library that has looked for them', async () => {
    // What answers here is no metadata server, of which the library warns; the expected failures it keeps for itself.
    const stranger = createServer((_, response) => response.end('log in first'));
    stranger.listen(0, '127.0.0.1');
    await once(stranger, 'listening');
    const env = { GCE_METADATA_HOST: `127.0.0.1:${(stranger.address() as AddressInfo).port}` };
    const codes = {
      'list --store gs://bucket': 22,
      'create -d small --key gcp-sm:project/name': 30,
    };
    try {
      for (const [command, code] of Object.entries(codes)) {
        const run = await teller.story().run(command, { env });
        assertFailure(run, { code, message: /no (Google )?credentials found/, hint: /GOOGLE_APPL/ });
        assert.equal(run.stderr.trim().split('\n').length, 2, run.stderr);
      }
    } finally {
      stranger.closeAllConnections();
      stranger.close();
    }
  });
});

describe('a store that is full', () => {
  const needsRoot = isRoot ? false : 'mounting a small disk needs root; the limit of the process stands in for it';

  it('ends the backup, and nothing is left', { skip: needsRoot }, async () => {
    const story = teller.story();
    using _disk = mountSmallDisk(story.storeFolder, 2 ** 20);
    const run = await story.run(`create -d large ${aesKey}`);
    assertFailure(run, {
      code: 20,
      message: /^cannot store "large\/.*\/archive\.dump\.zst\.aes" in "file:.*": the store is full$/,
      hint: /space/,
    });
    assertNothingBelow(story.storeFolder);
    await assertNoSession(teller.cluster, 'large');
  });

  it('when only the manifest has no room left is emptied of the object', { skip: needsRoot }, async () => {
    const story = teller.story();
    const without = `${aesKey} --compress none`;
    const backup = await story.create('small', without);
    const objectBytes = backup.objects[0]?.storedBytes ?? 0;
    rmSync(story.storeFolder, { recursive: true });
    using _disk = mountSmallDisk(story.storeFolder, Math.ceil(objectBytes / 4096) * 4096);
    const run = await story.run(`create -d small ${without}`);
    assertFailure(run, {
      code: 20,
      message: /^cannot store "small\/.*\/manifest\.json" .*: the store is full$/,
      hint: /space/,
    });
    assertNothingBelow(story.storeFolder);
  });

  it('by a limit of the process ends the backup, and nothing is left', async () => {
    const story = teller.story();
    const run = await story.run(`create -d large ${aesKey}`, { wrapper: withFileSizeLimit(1024) });
    assertFailure(run, { code: 20, message: /^cannot store .* allows$/, hint: /limit/ });
    assertNothingBelow(story.storeFolder);
    await assertNoSession(teller.cluster, 'large');
  });

  it('does not fill up a file that is restored to', async () => {
    const story = teller.story();
    await story.create('large');
    const before = entriesBelow(story.folder);
    const run = await story.run(`restore ${aesKey} --output out.dump`, { wrapper: withFileSizeLimit(1024) });
    assertFailure(run, { code: 20, message: /^cannot write "out\.dump": /, hint: null });
    assert.deepEqual(entriesBelow(story.folder), before);
  });
});

describe('a store that refuses writing', () => {
  for (const [where, folderOf, label] of [
    ['its folder', (story: Story) => story.storeFolder, 'other'],
    ['the folder of the database', (story: Story) => `${story.storeFolder}/small`, 'small'],
  ] as const) {
    it(`by the permissions of ${where} ends the backup, and stays as it is`, async () => {
      const story = teller.story();
      await story.create('small');
      const before = entriesBelow(story.storeFolder);
      chmodSync(folderOf(story), 0o500);
      const run = await story.run(`create -d small ${aesKey} --label ${label}`, { wrapper: withoutRootRights });
      chmodSync(folderOf(story), 0o700);
      assertFailure(run, { code: 22, message: /^cannot store .*: permission denied$/, hint: /right/ });
      assert.deepEqual(entriesBelow(story.storeFolder), before);
    });
  }

  it('because it is mounted read-only ends the backup', { skip: !isRoot && 'mounting needs root' }, async () => {
    const story = teller.story();
    using disk = mountSmallDisk(story.storeFolder, 2 ** 20);
    disk.makeReadOnly();
    const run = await story.run(`create -d small ${aesKey}`);
    assertFailure(run, {
      code: 22,
      message: /^cannot store .*: the file system is read-only$/,
      hint: /Mount it writable/,
    });
    assertNothingBelow(story.storeFolder);
  });

  it('refuses deleting too, and the backup stays', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    chmodSync(dirname(story.manifestPath(backup)), 0o500);
    const run = await story.run(`delete ${backup.id} --yes`, { wrapper: withoutRootRights });
    chmodSync(dirname(story.manifestPath(backup)), 0o700);
    assertFailure(run, { code: 22, message: /^cannot delete .*manifest\.json.*: permission denied$/, hint: /right/ });
    assert.match(await story.succeed('verify'), /^verified/);
  });

  it('refuses reading: nothing is restored', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    chmodSync(story.objectPath(backup), 0);
    const run = await story.run(`restore ${aesKey} --target unread --create-db`, { wrapper: withoutRootRights });
    assertFailure(run, { code: 22, message: /^cannot read .*: permission denied$/, hint: /right/ });
    await assertNoDatabase(teller.cluster, 'unread');
  });
});

describe('a store that goes away during a backup', () => {
  const vanishings: Readonly<Record<string, (story: Story) => string>> = {
    'with its folder': (story) => story.storeFolder,
    'with the folder of the database': (story) => `${story.storeFolder}/large`,
  };
  for (const [how, folderOf] of Object.entries(vanishings)) {
    it(`${how} makes it fail: no success without proof`, async () => {
      const story = teller.story();
      const run = story.start(`create -d large ${aesKey} --compress zstd:5`);
      const isWriting = () => entriesBelow(story.storeFolder).some((path) => path.endsWith('.partial'));
      await waitUntil(isWriting, 'the backup has begun');
      rmSync(folderOf(story), { recursive: true });
      assertFailure(await run.ended, { code: 20, message: /^cannot store "large\//, hint: null });
      assertNothingBelow(story.storeFolder);
    });
  }
});

describe('an S3 store', () => {
  const env = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'hunter-of-buckets', AWS_REGION: 'us-east-1' };

  it('that cannot be reached ends the backup, and says where it looked', async () => {
    const story = teller.story();
    mkdirSync(story.storeFolder);
    const at = '--store s3://bucket --s3-endpoint http://127.0.0.1:1';
    const run = await story.run(`create -d small ${aesKey} ${at}`, { env });
    assertFailure(run, { code: 20, message: /127\.0\.0\.1:1/ });
    assert.doesNotMatch(run.stderr, /hunter/);
    await assertNoSession(teller.cluster, 'small');
  });

  const answers = {
    AccessDenied: { status: 403, code: 22 },
    InvalidAccessKeyId: { status: 403, code: 22 },
    NoSuchBucket: { status: 404, code: 21 },
  } as const;
  for (const [name, { status, code }] of Object.entries(answers)) {
    it(`that answers ${name} ends backup, list and restore with exit code ${code}`, async () => {
      const server = createServer((request, response) => {
        request.resume();
        response.writeHead(status, { 'content-type': 'application/xml' });
        response.end(`<?xml version="1.0"?><Error><Code>${name}</Code><Message>no</Message></Error>`);
      });
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const story = teller.story();
      const at = `--store s3://bucket/prefix --s3-endpoint http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      try {
        for (const command of [`create -d small ${aesKey}`, 'list', `restore ${aesKey} --target none --create-db`]) {
          const run = await story.run(`${command} ${at}`, { env });
          assertFailure(run, { code, message: /s3:\/\/bucket/ });
        }
      } finally {
        server.close();
      }
      await assertNoDatabase(teller.cluster, 'none');
      await assertNoSession(teller.cluster, 'small');
    });
  }
});
