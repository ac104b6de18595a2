import { BackupError } from '../core/backup-error.ts';

/**
 * The same items, bytes as a rule; damage that a stage found without knowing what it works on is reported as the damage of `what`, e.g.
 * `object "shop/20261123T231405Z-7f3a9c/archive.dump.zst.pgp"`.
 */
export async function* nameDamage<Item>(what: string, stream: AsyncIterable<Item>): AsyncGenerator<Item> {
  try {
    yield* stream;
  } catch (error) {
    const isNameless = error instanceof BackupError && error.kind === 'integrity' && !error.message.includes(what);
    if (!isNameless) throw error;
    throw new BackupError('integrity', `${what} is damaged: ${error.message}`, {
      hint: error.hint ?? 'Restore another backup, and find out who or what changed this one.',
      cause: error,
    });
  }
}
