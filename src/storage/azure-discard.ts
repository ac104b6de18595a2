import { BackupError, describeError } from '../core/backup-error.ts';
import type { AzureCalls } from './azure-calls.ts';
import type { VersionAnswer } from './azure-object.ts';

/**
 * Removes exactly the blob that a `put` has made: while it is the current one, and then the version that a container with
 * versions keeps of it. In this order, since the service deletes no current version by its id
 * (`OperationNotAllowedOnRootBlob`). What stays all the same is the end of a sentence.
 */
export async function discardBlob(calls: AzureCalls, key: string, { etag, versionId }: VersionAnswer): Promise<string> {
  const blob = calls.blob(key);
  try {
    if (!etag) throw new BackupError('storage', 'the server does not name what it stored');
    const conditions = { ifMatch: etag };
    await calls.run('delete it', async () => await blob.deleteIfExists({ conditions })).catch(ignoreReplaced);
    if (versionId) await calls.run('delete it', async () => await blob.withVersion(versionId).deleteIfExists());
    return '';
  } catch (error) {
    return `; ${versionId ? `version "${versionId}"` : 'it'} stays there: ${describeError(error)}`;
  }
}

/** What has taken its place is another's. */
function ignoreReplaced(error: unknown): void {
  if (!(error instanceof BackupError) || error.kind !== 'conflict') throw error;
}
