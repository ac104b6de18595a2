import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  assertEmptyDatabase,
  assertFailure,
  assertNoDatabase,
  assertNoSession,
  entriesBelow,
} from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { dumpByHand, encryptWithOpenSsl, flipBit } from '../support/dump-file.ts';
import { openGpg, type Gpg } from '../support/gpg.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { openStoryTeller, type StoryTeller } from '../support/story.ts';

type Format = 'plain' | 'custom';

let teller: StoryTeller;
let gpg: Gpg;
let original: DatabaseFingerprint;
let privateKey: Buffer;
const dumps = new Map<Format, Buffer>();

before(async () => {
  teller = await openStoryTeller();
  gpg = await openGpg();
  await createSmallDatabase(teller.cluster, 'small');
  // pg_dump's scripts commit around large objects: without one, a failed restore leaves nothing at all.
  await teller.cluster.query('small', 'SELECT lo_unlink(oid) FROM pg_largeobject_metadata');
  original = await fingerprintDatabase(teller.cluster, 'small');
  for (const format of bothFormats) {
    dumps.set(format, await dumpByHand(teller.cluster, 'small', format));
  }
  await gpg.generate('backup@example.com');
  privateKey = await gpg.run(['--armor', '--export-secret-keys']);
});
after(async () => {
  await gpg[Symbol.asyncDispose]();
  await teller[Symbol.asyncDispose]();
});

const passphrase = 'the old passphrase';
const byPassphrase = '--passphrase file:old.pass';
const byKey = '--private-key file:old.key.asc';

/** A story with the old key, the old passphrase, and the file `old`. */
function storyWith(file: Uint8Array) {
  const story = teller.story();
  story.write('old.pass', `${passphrase}\n`);
  story.write('old.key.asc', privateKey);
  story.write('old', file);
  return story;
}

async function encryptByGpg(dump: Uint8Array, args: readonly string[]): Promise<Buffer> {
  const whom = args.includes('--symmetric') ? ['--passphrase', passphrase] : ['--recipient', 'backup@example.com'];
  return await gpg.run([...whom, ...args], dump);
}

async function encryptByOpenSsl(dump: Uint8Array, args: readonly string[]): Promise<Buffer> {
  return await encryptWithOpenSsl(dump, storyWith(dump).write('pass', `${passphrase}\n`), args);
}

interface Way {
  readonly open: string;
  readonly encrypt: (dump: Buffer) => Promise<Buffer>;
  /** Of the dumps to try; plain alone by default. */
  readonly formats?: readonly Format[];
}

const onlyPlain = ['plain'] as const;
const bothFormats = ['plain', 'custom'] as const;

const gpgWays: Readonly<Record<string, Way>> = {
  'gpg --encrypt': {
    open: byKey,
    encrypt: async (dump) => await encryptByGpg(dump, ['--encrypt']),
    formats: bothFormats,
  },
  'gpg --encrypt --armor': {
    open: byKey,
    encrypt: async (dump) => await encryptByGpg(dump, ['--encrypt', '--armor']),
  },
  'gzip | gpg --encrypt': {
    open: byKey,
    encrypt: async (dump) => await encryptByGpg(gzipSync(dump), ['--encrypt']),
  },
  'gpg --symmetric': { open: byPassphrase, encrypt: async (dump) => await encryptByGpg(dump, ['--symmetric']) },
  'gpg --symmetric with bzip2': {
    open: byPassphrase,
    encrypt: async (dump) => await encryptByGpg(dump, ['--symmetric', '--compress-algo', 'bzip2']),
  },
};

const openSslWays: Readonly<Record<string, Way>> = {
  'openssl enc -md sha256': {
    open: byPassphrase,
    encrypt: async (dump) => await encryptByOpenSsl(dump, ['-md', 'sha256']),
    formats: bothFormats,
  },
  'openssl enc -md md5': { open: byPassphrase, encrypt: async (dump) => await encryptByOpenSsl(dump, ['-md', 'md5']) },
  'openssl enc -pbkdf2': { open: byPassphrase, encrypt: async (dump) => await encryptByOpenSsl(dump, ['-pbkdf2']) },
  'gzip | openssl enc -md sha256': {
    open: byPassphrase,
    encrypt: async (dump) => await encryptByOpenSsl(gzipSync(dump), ['-md', 'sha256']),
  },
};

const isUnauthenticated = /^librelog-backup: warn: openssl enc does not authenticate: .* \(file=old\)$/m;

function dumpOf(format: Format): Buffer {
  return dumps.get(format) ?? assert.fail(`no ${format} dump`);
}

describe('a file of an old script comes back identical', () => {
  for (const [name, { open, encrypt, formats = onlyPlain }] of Object.entries({ ...gpgWays, ...openSslWays })) {
    for (const format of formats) {
      it(`${name} of a ${format} dump`, async () => {
        const story = storyWith(await encrypt(dumpOf(format)));
        const run = await story.run(`restore --from-file old ${open} --target ${story.target} --create-db`);
        assert.equal(run.code, 0, run.stderr);
        assert.match(run.stderr, name.includes('openssl') ? isUnauthenticated : /^$/);
        assertSameDatabase(await fingerprintDatabase(teller.cluster, story.target), original);
        await assertNoSession(teller.cluster, story.target);
      });
    }
  }

  it('also as a file, byte for byte, by decrypt', async () => {
    const story = storyWith(await encryptByGpg(dumpOf('plain'), ['--encrypt']));
    await story.succeed(`decrypt old ${byKey} -o old.sql`);
    assert.deepEqual(readFileSync(join(story.folder, 'old.sql')), dumpOf('plain'));
  });
});

async function refuse(damaged: Buffer, open: string): Promise<void> {
  const story = storyWith(damaged);
  await teller.cluster.createDatabase(story.target);
  const run = await story.run(`restore --from-file old ${open} --target ${story.target}`);
  assertFailure(run, { code: 40, message: /./, hint: null });
  await assertEmptyDatabase(teller.cluster, story.target);
  await assertNoSession(teller.cluster, story.target);
}

describe('a damaged file of an old script is refused, and its target stays empty', () => {
  for (const format of bothFormats) {
    for (const armor of [[], ['--armor']]) {
      it(`gpg --encrypt ${armor.join('')} of a ${format} dump, cut or with a flipped bit`, async () => {
        const whole = await encryptByGpg(dumpOf(format), ['--encrypt', ...armor]);
        const middle = Math.floor(whole.byteLength / 2);
        const damages = [whole.subarray(0, -30), whole.subarray(0, middle), flipBit(whole, middle)];
        for (const damaged of damages) await refuse(damaged, byKey);
      });
    }

    it(`openssl enc of a ${format} dump, cut or with a flipped bit in its padding`, async () => {
      const whole = await encryptByOpenSsl(dumpOf(format), ['-md', 'sha256']);
      // The last byte of the padding is 1 to 16: with the highest bit it is none.
      const damages = [whole.subarray(0, -1), whole.subarray(0, -32), flipBit(whole, whole.byteLength - 17, 7)];
      for (const damaged of damages) await refuse(damaged, byPassphrase);
    });
  }
});

describe('a file that cannot be opened', () => {
  it('with the wrong passphrase is refused by exit code 30', async () => {
    for (const encrypted of [
      await encryptByGpg(dumpOf('plain'), ['--symmetric']),
      await encryptByOpenSsl(dumpOf('plain'), ['-md', 'sha256']),
    ]) {
      const story = storyWith(encrypted);
      story.write('old.pass', 'not the old passphrase\n');
      const run = await story.run(`restore --from-file old ${byPassphrase} --target ${story.target} --create-db`);
      assertFailure(run, { code: 30, message: /passphrase/, hint: null });
      await assertNoDatabase(teller.cluster, story.target);
    }
  });

  it('with no key at all says which one to name', async () => {
    const story = storyWith(await encryptByGpg(dumpOf('plain'), ['--encrypt']));
    const run = await story.run(`restore --from-file old --target ${story.target} --create-db`);
    assertFailure(run, { code: 30, message: /^no OpenPGP key given$/, hint: /--private-key/ });
    await assertNoDatabase(teller.cluster, story.target);
  });

  const files: Readonly<Record<string, Uint8Array>> = {
    'an empty file': new Uint8Array(),
    noise: Buffer.alloc(5000, 'noise'),
    'a gzip of nothing': gzipSync(''),
  };
  for (const [what, content] of Object.entries(files)) {
    it(`because it is ${what} is refused by exit code 40`, async () => {
      const story = storyWith(content);
      const before = entriesBelow(story.folder);
      for (const way of [`--target ${story.target} --create-db`, '--output out.sql', '--list']) {
        const run = await story.run(`restore --from-file old ${byKey} ${way}`);
        assertFailure(run, { code: 40, message: /^"old" holds no dump that can be recognised$/, hint: /key/ });
      }
      await assertNoDatabase(teller.cluster, story.target);
      assert.deepEqual(entriesBelow(story.folder), before);
    });
  }

  it('because it is not there is not found', async () => {
    const run = await teller.story().run('restore --from-file none --target x --create-db');
    assertFailure(run, { code: 21, message: /^cannot read file "none"/, hint: null });
    await assertNoDatabase(teller.cluster, 'x');
  });
});
