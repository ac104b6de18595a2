import { BackupError } from '../core/backup-error.ts';

/** One key among those of a file, as gpg lets a user name it. */
export interface KeyChoice {
  /** Fingerprint or long key id of a primary key or a subkey, upper-case hexadecimal. */
  readonly id: string;
  /** Written with `!`: this very key encrypts, whatever other one its certificate has. */
  readonly isExact: boolean;
}

/**
 * Reads a fingerprint (40 hexadecimal digits, spaces between them allowed) or a long key id (16, `0x` in front allowed),
 * with `!` behind it or not. Fails with `config`: names and short key ids could fit the wrong key.
 */
export function parseKeyChoice(text: string): KeyChoice {
  const id = text.replaceAll(/\s/g, '').toUpperCase().replace(/^0X/, '').replace(/!$/, '');
  if (!/^(?:[0-9A-F]{16}|[0-9A-F]{40})$/.test(id)) {
    throw new BackupError('config', `"${text}" is neither a fingerprint nor a long key id`, {
      hint: 'Give the 40 digits that "gpg --fingerprint" prints, with "!" behind them to use that very subkey.',
    });
  }
  return { id, isExact: text.trimEnd().endsWith('!') };
}

/** Whether `key` is the one that `choice` names. */
export function isChosen(key: { getFingerprint(): string }, choice: KeyChoice): boolean {
  return key.getFingerprint().toUpperCase().endsWith(choice.id);
}

interface WithKeys {
  getKeys(): readonly { getFingerprint(): string }[];
}

/** Whether a certificate has the key that `choice` names. */
export function holdsChosen(key: WithKeys, choice: KeyChoice): boolean {
  return key.getKeys().some((one) => isChosen(one, choice));
}

/** Fails with `key` when one of the keys that were chosen is in none of the certificates. */
export function requireChosen(
  certificates: readonly { readonly key: WithKeys }[],
  choices: readonly KeyChoice[],
): void {
  const missing = choices.find((choice) => !certificates.some(({ key }) => holdsChosen(key, choice)));
  if (missing === undefined) return;
  throw new BackupError('key', `no certificate that was given has the key ${missing.id}`, {
    hint: 'Look at them with "gpg --show-keys --with-subkey-fingerprint".',
  });
}
