import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { z } from 'zod/v3';
import { openBackup } from '../../src/backup/open-backup.ts';
import type { DecryptionRequest } from '../../src/backup/open-decryption.ts';
import type { UseCaseContext } from '../../src/backup/use-case-context.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { quietContext } from '../support/quiet-context.ts';

const folder = join(import.meta.dirname, '..', 'vectors', 'v1');
const storeUrl = `file://${join(folder, 'store')}`;
const vectors = z
  .array(z.object({ label: z.string(), plainSha256: z.string() }))
  .parse(JSON.parse(readFileSync(join(folder, 'store.json'), 'utf8')));

const context: UseCaseContext = { ...quietContext(), cores: availableParallelism() };
const fileIn = (name: string): string => `file:${join(folder, name)}`;

const openpgp: DecryptionRequest = { privateKeys: [fileIn('openpgp/recipient.key.asc')] };
const signer = { signers: [fileIn('openpgp/signer.pub.asc')] };

const openers: readonly (readonly [string, string, DecryptionRequest])[] = [
  ['aes-custom', 'its first key', { keys: [fileIn('key.txt')] }],
  ['aes-custom', 'its second key', { keys: [fileIn('second-key.txt')] }],
  ['aes-custom', 'its passphrase', { passphrase: fileIn('passphrase.txt') }],
  ['aes-plain-gzip', 'its key', { keys: [fileIn('key.txt')] }],
  ['openpgp-signed', 'its private key, and its signature checked', { ...openpgp, ...signer }],
  ['openpgp-none', 'its private key', openpgp],
];

describe('frozen backups of manifest version 1', () => {
  it('are all listed, and none is damaged', async () => {
    await using store = await openStore(storeUrl, {});
    const entries = await new Catalog(store).list();
    assert.deepEqual(entries.map(({ label }) => label).toSorted(), vectors.map(({ label }) => label).toSorted());
    assert.ok(entries.every(({ problem }) => problem === null));
  });

  for (const [label, how, keys] of openers) {
    it(`open: ${label} with ${how}`, async () => {
      await using store = await openStore(storeUrl, {});
      using backup = await openBackup({ store, selector: { by: 'latest', label }, keys }, context);
      const hash = createHash('sha256');
      const { body } = await backup.archive.open(context.signal);
      for await (const chunk of body) hash.update(chunk);
      assert.equal(hash.digest('hex'), vectors.find((vector) => vector.label === label)?.plainSha256);
    });
  }

  it('refuse a signer who has not signed', async () => {
    await using store = await openStore(storeUrl, {});
    const selector = { by: 'latest', label: 'openpgp-none' } as const;
    const opening = openBackup({ store, selector, keys: { ...openpgp, ...signer } }, context);
    await assert.rejects(opening, { kind: 'integrity', message: /is not signed/ });
  });
});
