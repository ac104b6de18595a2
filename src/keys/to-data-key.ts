import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';

const dataKeyBytes = 32;

/** What a service has unwrapped, as a data key. Otherwise it is wiped, and `action` fails with `integrity`. */
export function toDataKey(bytes: Uint8Array, action: string): Secret {
  if (bytes.byteLength === dataKeyBytes) return new Secret(bytes);
  bytes.fill(0);
  throw new BackupError('integrity', `cannot ${action}: what it holds is not a data key`);
}
