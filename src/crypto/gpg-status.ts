import { BackupError } from '../core/backup-error.ts';
import { damagedMessage } from './openpgp-packets.ts';

/** One line of gpg's status protocol (doc/DETAILS in its sources), without the prefix. */
export interface GpgStatusLine {
  readonly keyword: string;
  readonly args: readonly string[];
}

const prefix = '[GNUPG:] ';

/** The line, or `null` for anything that is none. */
export function parseStatusLine(line: string): GpgStatusLine | null {
  if (!line.startsWith(prefix)) return null;
  const [keyword = '', ...args] = line.slice(prefix.length).trimEnd().split(' ');
  return keyword === '' ? null : { keyword, args };
}

/** How one `gpg --decrypt` went. */
export interface GpgRun {
  readonly status: readonly GpgStatusLine[];
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** For messages only. */
  readonly stderr: string;
  /** gpg has read all of the message. */
  readonly hasReadAll: boolean;
}

/**
 * Why what gpg gave is not the whole content of the message, or `null`. It is only when gpg said of one message, once,
 * that decryption went well, the MDC is good and the end was reached, exited with 0 and had read everything. Kinds:
 * `integrity`, or `key` when gpg came to no session key or did not run to its end.
 */
export function findDecryptionFault(run: GpgRun, name: string): BackupError | null {
  if (isWhole(run)) return null;
  if (run.exitCode === null) {
    return new BackupError('key', `gpg was ended by ${run.signal ?? 'the system'} while it decrypted "${name}"`);
  }
  if (has(run, 'BADMDC')) {
    return damagedMessage(name, 'was tampered with, damaged or cut: gpg finds its modification detection code wrong');
  }
  if (isAboutKeys(run)) return explainMissingKey(run, name);
  if (has(run, 'PLAINTEXT') && !has(run, 'BEGIN_DECRYPTION')) return damagedMessage(name, 'is not encrypted');
  if (has(run, 'DECRYPTION_INFO')) return damagedMessage(name, `cannot be decrypted by gpg${lastWords(run)}`);
  if (isAddressed(run) || has(run, 'NODATA')) return damagedMessage(name, 'is none, or is truncated');
  return new BackupError('key', `gpg failed with exit code ${run.exitCode}${lastWords(run)}`);
}

/** All of them once: what stands before, behind or between would not be part of the message. */
const signsOfSuccess = ['BEGIN_DECRYPTION', 'PLAINTEXT', 'DECRYPTION_OKAY', 'GOODMDC', 'END_DECRYPTION'];
const signsOfFailure = ['DECRYPTION_FAILED', 'BADMDC', 'NODATA', 'UNEXPECTED', 'FAILURE'];

function isWhole(run: GpgRun): boolean {
  const isGood = signsOfSuccess.every((keyword) => count(run, keyword) === 1);
  return run.exitCode === 0 && run.hasReadAll && isGood && !signsOfFailure.some((keyword) => has(run, keyword));
}

function count({ status }: GpgRun, keyword: string): number {
  return status.filter((line) => line.keyword === keyword).length;
}

function has(run: GpgRun, keyword: string): boolean {
  return count(run, keyword) > 0;
}

/** gpg came to the data, and had found no way to the session key. */
function isAboutKeys(run: GpgRun): boolean {
  return isPassphraseWrong(run) || (has(run, 'BEGIN_DECRYPTION') && !has(run, 'DECRYPTION_INFO'));
}

function isAddressed(run: GpgRun): boolean {
  return has(run, 'ENC_TO') || has(run, 'NEED_PASSPHRASE_SYM');
}

/** GPG_ERR_BAD_PASSPHRASE of libgpg-error, in the low 16 bits of a code, or named. */
const badPassphrase = 11;

function isPassphraseWrong({ status }: GpgRun): boolean {
  return status.some(({ keyword, args }) => {
    return keyword === 'ERROR' && (Number.parseInt(args[1] ?? '', 10) & 0xffff) === badPassphrase;
  });
}

function explainMissingKey(run: GpgRun, name: string): BackupError {
  if (isPassphraseWrong(run)) {
    return new BackupError('key', `gpg finds the passphrase wrong for OpenPGP message "${name}"`, {
      hint: 'Give the passphrase of the private key, or that of the message.',
    });
  }
  const wanted = run.status.filter(({ keyword }) => keyword === 'ENC_TO').map(({ args }) => args[0] ?? '');
  const missing = run.status.filter(({ keyword }) => keyword === 'NO_SECKEY').map(({ args }) => args[0] ?? '');
  if (wanted.length > 0 && missing.length >= wanted.length) {
    return new BackupError('key', `gpg has no private key for OpenPGP message "${name}"; ${describeKeys(wanted)}`, {
      hint: 'Import the private key, or point GNUPGHOME at the folder where gpg keeps it.',
    });
  }
  return new BackupError('key', `gpg cannot use a key for OpenPGP message "${name}"${lastWords(run)}`, {
    hint: 'Unlock the key in gpg-agent, insert the smartcard, or give the passphrase.',
  });
}

function describeKeys(keyIds: readonly string[]): string {
  const named = keyIds.filter((keyId) => !/^0+$/.test(keyId));
  return named.length === 0 ? 'its recipients are hidden' : `it is encrypted for ${named.join(', ')}`;
}

/** gpg's own reason, which is the last thing it says. */
function lastWords({ stderr }: GpgRun): string {
  const said = stderr.split('\n').filter((line) => line.startsWith('gpg: '));
  const last = said.at(-1)?.slice('gpg: '.length).trim() ?? '';
  return last === '' ? '' : `: ${last}`;
}
