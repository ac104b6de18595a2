import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isGone, type ListedVersions, type UsedKey } from '../../src/backup/key-uses.ts';
import type { KeyVersion } from '../../src/keys/key-admin.ts';

function version(keyId: string | null, name: string, state: KeyVersion['state']): KeyVersion {
  return { keyId, version: name, createdAt: null, state };
}

const secret: ListedVersions = {
  provider: 'key',
  versions: [version(null, '1', 'destroyed'), version(null, '2', 'disabled'), version('cc', '3', 'active')],
};
const service: ListedVersions = {
  provider: 'vault-transit',
  versions: [version('transit/backup', '2', 'retired'), version('transit/backup', '3', 'active')],
};

const cases: readonly { readonly name: string; readonly used: UsedKey; readonly key: ListedVersions; is: boolean }[] = [
  { name: 'a destroyed version', used: { provider: 'key', keyId: 'aa', keyVersion: '1' }, key: secret, is: true },
  { name: 'a disabled version', used: { provider: 'key', keyId: 'bb', keyVersion: '2' }, key: secret, is: false },
  {
    name: 'the bytes of a living one',
    used: { provider: 'key', keyId: 'cc', keyVersion: '1' },
    key: secret,
    is: false,
  },
  { name: 'a key without versions', used: { provider: 'key', keyId: 'aa' }, key: secret, is: false },
  { name: 'a passphrase', used: { provider: 'passphrase' }, key: secret, is: false },
  {
    name: 'a version that the service has forgotten',
    used: { provider: 'vault-transit', keyId: 'transit/backup', keyVersion: '1' },
    key: service,
    is: true,
  },
  {
    name: 'a version that the service has',
    used: { provider: 'vault-transit', keyId: 'transit/backup', keyVersion: '2' },
    key: service,
    is: false,
  },
  {
    name: 'another key of the service',
    used: { provider: 'vault-transit', keyId: 'transit/other', keyVersion: '1' },
    key: service,
    is: false,
  },
];

describe('isGone', () => {
  for (const { name, used, key, is } of cases) {
    it(`is ${is} of ${name}`, () => assert.equal(isGone(used, key), is));
  }
});
