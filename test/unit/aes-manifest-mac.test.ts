import assert from 'node:assert/strict';
import { createHmac, hkdfSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { canonicalManifestBytes } from '../../src/catalog/seal.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { createDataKey } from '../../src/crypto/data-key.ts';
import { isManifestMac, macManifest } from '../../src/crypto/manifest-mac.ts';

const manifest: Manifest = {
  format: 'librelog-backup-manifest',
  version: 1,
  id: '20261123T231405Z-7f3a9c',
  label: 'größe',
  startedAt: '2026-11-23T23:14:05Z',
  finishedAt: '2026-11-23T23:15:05Z',
  tool: { name: 'librelog-backup', version: '0.1.0' },
  source: {
    serverVersion: '15.14',
    database: 'größe',
    encoding: 'UTF8',
    collate: 'C',
    ctype: 'C',
    sizeBytes: 1e21,
    inRecovery: false,
  },
  dump: { format: 'custom', clientVersion: '15.14', options: [] },
  compression: { method: 'none' },
  encryption: { method: 'openpgp', profile: 'rfc4880', recipients: [], passphrase: true },
  objects: [{ name: 'a.pgp', role: 'archive', plainBytes: 1, storedBytes: 2, sha256: 'a'.repeat(64) }],
  seal: { method: 'hmac-sha-256', value: 'AAAA' },
};

describe('canonical bytes of a manifest', () => {
  it('are sorted, dense UTF-8 without the seal', () => {
    const text = canonicalManifestBytes(manifest).toString('utf8');
    assert.match(text, /^\{"compression":\{"method":"none"\},"dump":/);
    assert.match(text, /"label":"größe",.*"sizeBytes":1e\+21/);
    assert.doesNotMatch(text, /seal/);
  });

  it('do not depend on the order of fields, on the seal, or on fields without a value', () => {
    const reordered = Object.fromEntries(Object.entries(manifest).toReversed()) as Manifest;
    const expected = canonicalManifestBytes(manifest);
    assert.deepEqual(canonicalManifestBytes(reordered), expected);
    assert.deepEqual(canonicalManifestBytes({ ...manifest, seal: null }), expected);
  });
});

describe('MAC of a manifest', () => {
  const dataKey = createDataKey();
  const bytes = canonicalManifestBytes(manifest);
  const mac = macManifest(dataKey, bytes);

  it('is HMAC-SHA-256 under the derived key of docs/format.md', () => {
    const key = hkdfSync('sha256', dataKey.reveal(), '', 'librelog-backup/v1/manifest', 32);
    assert.equal(mac, createHmac('sha256', Buffer.from(key)).update(bytes).digest('base64'));
  });

  it('fits only its manifest and its key', () => {
    assert.ok(isManifestMac(dataKey, bytes, mac));
    assert.ok(!isManifestMac(dataKey, canonicalManifestBytes({ ...manifest, label: 'x' }), mac));
    assert.ok(!isManifestMac(createDataKey(), bytes, mac));
  });

  it('is refused when cut, empty or not base64', () => {
    for (const bad of ['', mac.slice(0, 8), `${mac}AAAA`, '!']) assert.ok(!isManifestMac(dataKey, bytes, bad), bad);
  });
});
