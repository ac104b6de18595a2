import type { ListedKey } from '../../src/backup/list-keys.ts';
import type { Story } from './story.ts';

/** For `keys list`: without what backups need. */
export const noStore = { LIBRELOG_BACKUP_STORE: '' };

export async function listKeys(story: Story, args: string, env = {}): Promise<readonly ListedKey[]> {
  return (await story.ask<{ keys: ListedKey[] }>(`keys list ${args}`, { env })).keys;
}

/** Makes a new key the active one; gives its id. */
export async function rotateKey(story: Story, reference = 'file:aes.key'): Promise<string> {
  return (await story.ask<{ keyId: string }>(`keys rotate aes-256 --key ${reference}`)).keyId;
}
