import type { Manifest } from '../../src/catalog/manifest.ts';

/** A manifest with every field, for tests that need one but not its backup. */
export function sampleManifest(changes: Partial<Manifest>): Manifest {
  return {
    format: 'librelog-backup-manifest',
    version: 1,
    id: '20261123T231405Z-7f3a9c',
    label: 'shop',
    startedAt: '2026-11-23T23:14:05.123Z',
    finishedAt: '2026-11-23T23:15:05.123Z',
    tool: { name: 'librelog-backup', version: '0.1.0' },
    source: {
      serverVersion: '15.18',
      database: 'shop',
      encoding: 'UTF8',
      collate: 'C.UTF-8',
      ctype: 'C.UTF-8',
      sizeBytes: 123_456_789,
      inRecovery: false,
    },
    dump: { format: 'custom', clientVersion: '15.18', options: ['--table'] },
    compression: { method: 'zstd', level: 1, frameBytes: 4_194_304 },
    encryption: { method: 'openpgp', profile: 'rfc4880', recipients: ['A'.repeat(40)], passphrase: false },
    objects: [
      {
        name: 'archive.dump.zst.pgp',
        role: 'archive',
        plainBytes: 1000,
        storedBytes: 500,
        sha256: '0123456789abcdef'.repeat(4),
      },
    ],
    seal: null,
    ...changes,
  };
}
