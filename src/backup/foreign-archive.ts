import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { BackupError, toBackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { peekStream } from '../core/peek-stream.ts';
import { detectFormat, type FileFormat } from '../crypto/detect-format.ts';
import { decompress } from '../pipeline/decompress.ts';
import { holdLastBytes } from '../pipeline/hold-last-bytes.ts';
import type { Archive, OpenArchive } from './archive.ts';
import { nameDamage } from './name-damage.ts';
import { openOpenPgpDecryption, refuseWithoutManifest, type DecryptionRequest } from './open-decryption.ts';
import { readPassphraseOf, readUnlockers } from './read-secrets.ts';
import type { UseCaseContext } from './use-case-context.ts';

/** Enough of a file to tell its format. */
const headBytes = 4096;
/** Encryption, compression and armor may lie around a dump in any order, but not without end. */
const maxLayers = 6;
const readChunkBytes = 1024 * 1024;

/**
 * A dump in a file that some other tool or an old script made, or one object of a backup: `gpg`, `openssl enc`, our own
 * containers, `zstd` and `gzip`, found out by their first bytes, layer by layer. Only its own format vouches for it:
 * there is no manifest.
 */
export async function openForeignArchive(
  path: string,
  request: DecryptionRequest,
  context: UseCaseContext,
): Promise<Archive> {
  refuseWithoutManifest(request);
  await checkReadable(path);
  return {
    name: path,
    clientMajor: null,
    source: null,
    open: async (signal) => await openLayers(readFile(path, signal), { path, request, context }),
    streams: null,
    isCustom: false,
    checkStored: async () => {},
  };
}

interface Opening {
  readonly path: string;
  readonly request: DecryptionRequest;
  readonly context: UseCaseContext;
}

async function openLayers(file: ByteStream, opening: Opening): Promise<OpenArchive> {
  let current = file;
  for (let layer = 0; layer < maxLayers; layer += 1) {
    const { head, stream } = await peekStream(current, headBytes);
    const format = detectFormat(head);
    if (isInnermost(format)) {
      const body = nameDamage(`"${opening.path}"`, holdLastBytes()(stream));
      return { format: innermostFormats[format], body };
    }
    current = await openLayer(format, stream, opening);
  }
  throw new BackupError('integrity', `"${opening.path}" has too many layers`);
}

/** What lies in the middle; the contents of a backup are text, and nothing that could be restored. */
const innermostFormats = { 'pg-custom': 'custom', 'pg-plain-sql': 'plain', 'backup-contents': 'plain' } as const;

type Innermost = keyof typeof innermostFormats;

function isInnermost(format: FileFormat): format is Innermost {
  return format in innermostFormats;
}

async function openLayer(
  format: Exclude<FileFormat, Innermost>,
  stream: ByteStream,
  opening: Opening,
): Promise<ByteStream> {
  const { path, request, context } = opening;
  switch (format) {
    case 'zstd':
    case 'gzip':
      return decompress(format, context.cores)(stream);
    case 'openpgp':
    case 'openpgp-armored': {
      const { decrypter } = await openOpenPgpDecryption(request, context);
      return decrypter.decrypt({ backupId: '', objectName: path })(stream);
    }
    case 'aes-container':
      return await openAesContainer(stream, opening);
    case 'openssl-salted':
      return await openOpenSsl(stream, opening);
    case 'unknown':
      throw new BackupError('integrity', `"${path}" holds no dump that can be recognised`, {
        hint: 'Check the file, and that the key or passphrase is the right one.',
      });
  }
}

async function openAesContainer(stream: ByteStream, { path, request, context }: Opening): Promise<ByteStream> {
  const { openAesObject } = await import('../crypto/aes-container.ts');
  const { unwrapDataKey } = await import('../crypto/data-key.ts');
  using unlockers = await readUnlockers(request, context);
  const { plaintext } = await openAesObject(stream, {
    name: path,
    unlock: async (wrappedKeys, backup) => await unwrapDataKey(wrappedKeys, unlockers, backup),
  });
  return plaintext;
}

async function openOpenSsl(stream: ByteStream, { path, request, context }: Opening): Promise<ByteStream> {
  if (request.passphrase === undefined) {
    throw new BackupError('key', `"${path}" needs a passphrase`, { hint: 'Name it with --passphrase file:PATH.' });
  }
  context.log.warn({ file: path }, 'openssl enc does not authenticate: nobody can tell whether this file was changed');
  const { decryptOpenSslEnc } = await import('../crypto/openssl-enc.ts');
  const passphrase = await readPassphraseOf(request.passphrase, context);
  return decryptOpenSslEnc({ passphrase, looksPlausible })(stream);
}

function looksPlausible(head: Uint8Array): boolean {
  return detectFormat(head) !== 'unknown';
}

async function checkReadable(path: string): Promise<void> {
  const stats = await stat(path).catch((error: unknown) => {
    throw new BackupError('notFound', `cannot read file "${path}"`, { cause: error });
  });
  if (stats.isDirectory()) throw new BackupError('usage', `"${path}" is a folder`);
}

async function* readFile(path: string, signal: AbortSignal): ByteStream {
  try {
    yield* createReadStream(path, { highWaterMark: readChunkBytes, signal }) as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw toBackupError(error, 'storage', `cannot read file "${path}"`);
  }
}
