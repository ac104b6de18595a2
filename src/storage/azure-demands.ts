import { createHash } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import type { ServerEncryption } from '../core/server-encryption.ts';
import type { AzureDemands } from './azure-put.ts';
import { smallestPartBytes } from './part-size.ts';
import type { AzureSettings, StoreSettings } from './store-settings.ts';
import type { StoreUrl } from './store-url.ts';

const isTagName = /^[A-Za-z0-9 +\-./:=_]{1,128}$/;
const isTagValue = /^[A-Za-z0-9 +\-./:=_]{0,256}$/;
const tiers = ['Hot', 'Cool', 'Cold', 'Archive'] as const;

/** What the settings ask of every object. Fails with `config` for what Azure cannot do. */
export function checkAzureSettings(
  { prefix }: Extract<StoreUrl, { scheme: 'az' }>,
  settings: StoreSettings,
): AzureDemands {
  const { azure = {}, lock, tags, requireEncryption = false, uploadMemoryBytes = smallestPartBytes } = settings;
  if (uploadMemoryBytes < smallestPartBytes) {
    throw new BackupError('config', `${uploadMemoryBytes} bytes of memory are too few for an upload`, {
      hint: `Allow at least ${smallestPartBytes}.`,
    });
  }
  // "Naming and Referencing Containers, Blobs, and Metadata": such names do not come back as they were given.
  if (/\\|\.(\/|$)/.test(prefix)) {
    throw new BackupError('config', `${JSON.stringify(prefix)} is not a usable prefix for Azure`, {
      hint: 'Leave out backslashes, and dots at the end of a segment.',
    });
  }
  if (tags !== undefined) checkTags(tags);
  return { encryption: toEncryption(azure.encryption), requireEncryption, lock, tags, tier: checkedTier(azure.tier) };
}

function checkedTier(tier: string | undefined): string | undefined {
  if (tier === undefined) return undefined;
  const known = tiers.find((name) => name.toLowerCase() === tier.toLowerCase());
  if (known !== undefined) return known;
  throw new BackupError('config', `"${tier}" is not an access tier`, { hint: `Give one of ${tiers.join(', ')}.` });
}

function toEncryption(asked: AzureSettings['encryption']): ServerEncryption | undefined {
  if (asked === undefined) return undefined;
  if (asked.method === 'azure-scope') return { method: 'azure-scope', scope: checkedScope(asked.scope) };
  if (asked.key.sizeBytes === 32) {
    return { method: 'azure-cpk', keyDigest: createHash('sha256').update(asked.key.reveal()).digest('base64') };
  }
  throw new BackupError('key', `a customer-provided key has 32 bytes, and this one has ${asked.key.sizeBytes}`, {
    hint: 'Give 32 random bytes.',
  });
}

function checkedScope(scope: string): string {
  if (/^[A-Za-z0-9-]{3,63}$/.test(scope)) return scope;
  throw new BackupError('config', `${JSON.stringify(scope)} is not an encryption scope`, {
    hint: 'Give 3 to 63 letters, digits and hyphens.',
  });
}

/** "Set Blob Tags" of the REST reference. */
function checkTags(tags: Readonly<Record<string, string>>): void {
  const entries = Object.entries(tags);
  const wrong = entries.find(([name, value]) => !isTagName.test(name) || !isTagValue.test(value));
  if (wrong !== undefined) {
    throw new BackupError('config', `${JSON.stringify(wrong[0])} is not a tag that Azure takes`, {
      hint: 'Use letters, digits, blanks and + - . / : = _ only.',
    });
  }
  if (entries.length > 10) {
    throw new BackupError('config', `${entries.length} tags are more than the 10 that Azure takes`, {
      hint: 'Give fewer tags.',
    });
  }
}
