import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import { findActiveKey } from '../keys/keyring.ts';
import { drawQrCode } from '../keys/qr-code.ts';
import { readKeyring } from '../keys/read-key-encryption-key.ts';
import { formatKeySheet, formatPrivateKeySheet, toKeyText } from '../keys/recovery-sheet.ts';
import { isSecret } from '../keys/secret-reference.ts';
import { writeNewFiles } from '../keys/write-new-files.ts';
import { audited } from './audited.ts';
import { parseAudited } from './parse-audited.ts';
import { readContentOf } from './read-secrets.ts';
import { warnAll, type UseCaseContext } from './use-case-context.ts';

export interface KeyExport {
  /** `aes-256`: a raw key, or the active or named one of a keyring. `openpgp`: a private key. */
  readonly method: 'aes-256' | 'openpgp';
  /** Secret reference. */
  readonly reference: string;
  /** Paths are `PREFIX.txt`, `PREFIX.png` and `PREFIX.svg`. */
  readonly output: string;
}

export interface ExportedKey {
  readonly method: KeyExport['method'];
  /** Id of a raw key, fingerprint of an OpenPGP one. */
  readonly keyId: string;
  readonly textPath: string;
  /** `null`: the key is too long for a QR code. */
  readonly pngPath: string | null;
  readonly svgPath: string | null;
  /** Whether the sheet alone is not enough: its key is locked by a passphrase. */
  readonly isLocked: boolean;
}

/**
 * Writes the recovery sheet of a key, with its QR code, to new files for their owner alone: all or none. Errors: `usage`
 * (a key that stays in its service), `config`, `key`, `conflict` (a file is there already).
 */
export async function exportKey(request: KeyExport, context: UseCaseContext): Promise<ExportedKey> {
  await refuseKeyOfService(request.reference, context);
  return await audited({ action: 'export', context }, async (subject) => {
    subject.key = { source: request.reference, purpose: 'export' };
    using sheet = await readers[request.method](request.reference, context);
    subject.key = { ...subject.key, id: sheet.keyId };
    return await writeSheet(sheet, request);
  });
}

async function refuseKeyOfService(text: string, context: UseCaseContext): Promise<void> {
  const reference = await parseAudited({ reference: text, purpose: 'export', context });
  if (isSecret(reference)) return;
  throw new BackupError('usage', `key ${text} never leaves its service, so it cannot be exported`, {
    hint: 'Wrap backups with an offline recovery key as well, and export that one.',
  });
}

interface Sheet extends Disposable {
  readonly keyId: string;
  readonly isLocked: boolean;
  /** What the QR code holds: exactly what a key file may hold. */
  readonly keyText: Secret;
  /** The page; it says whether there is a QR code. */
  readonly format: (hasQrCode: boolean) => Secret;
}

const readers = { 'aes-256': readKeySheet, openpgp: readPrivateKeySheet } as const satisfies Record<
  KeyExport['method'],
  (reference: string, context: UseCaseContext) => Promise<Sheet>
>;

async function readKeySheet(reference: string, context: UseCaseContext): Promise<Sheet> {
  const read = await audited({ action: 'key-access', context }, async (subject) => {
    subject.key = { source: reference, purpose: 'export' };
    const found = await readKeyring(reference, context);
    subject.key = { ...subject.key, id: findActiveKey(found.keyring).id, version: found.version };
    return found;
  });
  warnAll(context, read.warnings);
  using keyring = read.keyring;
  const { id: keyId, secret } = findActiveKey(keyring);
  const text = toKeyText(secret);
  const facts = { text, keyId, createdAt: read.activeSince, exportedAt: context.now() };
  return {
    keyId,
    isLocked: false,
    keyText: text,
    format: (hasQrCode) => formatKeySheet({ ...facts, hasQrCode }),
    [Symbol.dispose]: () => text[Symbol.dispose](),
  };
}

async function readPrivateKeySheet(reference: string, context: UseCaseContext): Promise<Sheet> {
  const { armorPrivateKey } = await import('../crypto/armor-private-key.ts');
  using content = await readContentOf(reference, 'export', context);
  const { armored, ...key } = await armorPrivateKey(content);
  const facts = { ...key, text: armored, exportedAt: context.now() };
  if (!key.isLocked) {
    warnAll(context, [`private key ${key.fingerprint} has no passphrase: whoever has the sheet has the key`]);
  }
  return {
    keyId: key.fingerprint,
    isLocked: key.isLocked,
    keyText: armored,
    format: (hasQrCode) => formatPrivateKeySheet({ ...facts, hasQrCode }),
    [Symbol.dispose]: () => armored[Symbol.dispose](),
  };
}

async function writeSheet(sheet: Sheet, { method, output }: KeyExport): Promise<ExportedKey> {
  const code = await drawQrCode(sheet.keyText);
  using _png = code === null ? null : new Secret(code.png);
  using text = sheet.format(code !== null);
  const [textPath, pngPath, svgPath] = [`${output}.txt`, `${output}.png`, `${output}.svg`];
  const mode = 0o600;
  await writeNewFiles([
    { path: textPath, content: text.reveal(), mode },
    ...(code === null
      ? []
      : [
          { path: pngPath, content: code.png, mode },
          { path: svgPath, content: code.svg, mode },
        ]),
  ]);
  const { keyId, isLocked } = sheet;
  const paths = code === null ? { textPath, pngPath: null, svgPath: null } : { textPath, pngPath, svgPath };
  return { method, keyId, ...paths, isLocked };
}
