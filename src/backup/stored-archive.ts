import { objectKey } from '../catalog/catalog.ts';
import type { Archive } from './archive.ts';
import { checkStored, readPlain, type UnlockedBackup } from './stored-object.ts';
import { StoredStreams } from './stored-streams.ts';
import type { UseCaseContext } from './use-case-context.ts';

/** The dump of a backup: checked against its manifest byte for byte on the way. */
export function createStoredArchive(
  backup: UnlockedBackup,
  binDir: string | undefined,
  context: UseCaseContext,
): Archive {
  const { manifest } = backup;
  const clientMajor = Number.parseInt(manifest.dump.clientVersion, 10);
  const facts = { clientMajor, source: manifest.source };
  const check = async (signal: AbortSignal) => await checkStored(backup, signal);
  const archive = manifest.objects.find(({ role }) => role === 'archive');
  if (archive === undefined) {
    const streams = new StoredStreams({ backup, clientMajor, binDir, context });
    return {
      ...facts,
      name: objectKey(manifest, ''),
      streams,
      isCustom: false,
      checkStored: check,
      open: async (signal) => await Promise.resolve({ format: 'plain', body: streams.script(signal) }),
    };
  }
  return {
    ...facts,
    name: objectKey(manifest, archive.name),
    streams: null,
    isCustom: manifest.dump.format === 'custom',
    checkStored: check,
    open: async (signal) => {
      const body = readPlain({ ...backup, object: archive }, context, signal);
      return await Promise.resolve({ format: manifest.dump.format, body });
    },
  };
}
