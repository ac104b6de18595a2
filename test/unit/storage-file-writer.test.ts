import assert from 'node:assert/strict';
import { link, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { partialPath, publishNew } from '../../src/storage/file-commit.ts';
import { toFileError } from '../../src/storage/file-errors.ts';
import { FileWriter } from '../../src/storage/file-writer.ts';
import { randomLookingBytes } from '../support/test-bytes.ts';

const mebibyte = 1024 * 1024;
const folder = await mkdtemp(join(tmpdir(), 'file-writer-'));
after(async () => await rm(folder, { recursive: true }));

describe('FileWriter', () => {
  it('writes everything, whatever the sizes of the chunks', async () => {
    const path = join(folder, 'written');
    const bytes = randomLookingBytes(11 * mebibyte + 7);
    await using handle = await open(path, 'w');
    const writer = new FileWriter(handle);
    for (let start = 0, size = 1; start < bytes.byteLength; start += size, size = (size * 7) % 2_500_003) {
      await writer.write(bytes.subarray(start, start + size));
    }
    await writer.finish();
    assert.ok((await readFile(path)).equals(bytes));
  });

  it('fails when the device is full, and every call after that as well', async () => {
    await using handle = await open('/dev/full', 'w');
    const writer = new FileWriter(handle);
    const writeMuch = async (): Promise<void> => {
      for (let count = 0; count < 100; count++) await writer.write(Buffer.alloc(mebibyte));
    };
    await assert.rejects(writeMuch, { code: 'ENOSPC' });
    await assert.rejects(writer.finish(), { code: 'ENOSPC' });
    await writer.settle();
  });
});

describe('toFileError', () => {
  const meanings = {
    ENOSPC: ['storage', /the store is full/],
    EDQUOT: ['storage', /the store is full/],
    EACCES: ['access', /permission denied/],
    EROFS: ['access', /read-only/],
    EIO: ['storage', /input\/output/],
    EMFILE: ['storage', /something: too many files/],
  } as const;
  for (const [code, [kind, message]] of Object.entries(meanings)) {
    it(`says ${kind} for ${code}`, () => {
      const error = toFileError(Object.assign(new Error('too many files'), { code }), 'do something');
      assert.equal(error.kind, kind);
      assert.match(error.message, message);
      assert.match(error.message, /^cannot do something: /);
    });
  }
});

describe('publishNew', () => {
  const withoutLinks = {
    link: async (): Promise<void> => {
      throw Object.assign(new Error('operation not permitted'), { code: 'EPERM' });
    },
  };

  for (const [what, deps] of Object.entries({ 'with hard links': { link }, 'without hard links': withoutLinks })) {
    it(`lets one of two writers win, ${what}`, async () => {
      const { path, partials } = await twoPartials(`new ${what}`);
      const won = await Promise.all(partials.map(async (partial) => await publishNew(partial, path, deps)));
      assert.equal(won.filter((isWinner) => isWinner).length, 1);
      assert.equal(await readFile(path, 'utf8'), String(won.indexOf(true)));
      const left = (await readdir(folder)).filter((name) => name.startsWith(`.new ${what}`));
      assert.equal(left.length, 1, 'only the file of the loser is left');
    });
  }

  it('counts as won when the file is ours already, as after a lost answer of a file server', async () => {
    const { path, partials } = await twoPartials('repeated');
    const [partial = ''] = partials;
    await link(partial, path);
    assert.equal(await publishNew(partial, path), true);
  });
});

async function twoPartials(name: string): Promise<{ path: string; partials: string[] }> {
  const path = join(folder, name);
  const partials = [partialPath(path), partialPath(path)];
  for (const [index, partial] of partials.entries()) await writeFile(partial, String(index));
  return { path, partials };
}
