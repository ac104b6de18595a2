import type { PrivateKey } from 'openpgp';
import type { ByteStream } from '../core/byte-stream.ts';
import type { Secret } from '../core/secret.ts';
import { ByteReader } from '../core/byte-reader.ts';
import type { Decrypter } from './cipher.ts';
import { dearmor, isArmoredMessage } from './openpgp-armor.ts';
import { type Envelope, decryptHead, readEnvelope } from './openpgp-envelope.ts';
import { decryptIntegrityProtected } from './openpgp-integrity-protected.ts';
import { decryptByLibrary } from './openpgp-library-stage.ts';
import { readLiteral } from './openpgp-literal.ts';
import { packetTag, writePacket } from './openpgp-packets.ts';
import { passphraseText, readPrivateKeys, unlockPrivateKey } from './openpgp-private-keys.ts';
import { type Keyring, type SessionKey, openSessionKey } from './openpgp-session-key.ts';

export interface OpenPgpDecrypterOptions {
  /** Armored or binary, each with one or several keys. */
  readonly privateKeys: readonly Secret[];
  /** Unlocks those of the private keys that are locked. */
  readonly keyPassphrase?: Secret | undefined;
  /**
   * For messages that are encrypted with a passphrase. UTF-8, used whole. Each is tried; with a cipher that node:crypto
   * lacks (CAST5, Blowfish, Twofish) only the first can be.
   */
  readonly passphrases?: readonly Secret[] | undefined;
  /** `false` where it is known that no passphrase opens the messages: one that asks for one is damaged then. */
  readonly takesPassphrase?: boolean | undefined;
  /** See {@link decryptByLibrary}; 30 seconds by default. */
  readonly stallTimeoutMs?: number | undefined;
}

interface Opening {
  readonly keyring: Keyring;
  readonly stallTimeoutMs: number;
}

/**
 * Opens our own objects and whatever gpg 2.2 writes: for recipients or a passphrase, compressed or not, signed inside
 * (not verified) or not, binary or armored. A message without integrity protection is refused. The secrets are read
 * here and may be disposed of afterwards. Fails with `key` when a private key cannot be read.
 *
 * Plaintext comes out before it is authenticated, except the last chunk: see {@link Decrypter}. Text that gpg converted
 * (`--textmode`) comes out as it is in the message, with CR LF.
 */
export async function openOpenPgpDecrypter(options: OpenPgpDecrypterOptions): Promise<Decrypter> {
  const opening: Opening = { keyring: await openKeyring(options), stallTimeoutMs: options.stallTimeoutMs ?? 30_000 };
  return {
    decrypt: (identity) => (source) => decryptMessage(source, identity.objectName, opening),
  };
}

async function openKeyring(options: OpenPgpDecrypterOptions): Promise<Keyring> {
  const keyPassphrase = options.keyPassphrase && passphraseText(options.keyPassphrase);
  const unlocked = new Map<PrivateKey, PrivateKey>();
  const unlock = async (key: PrivateKey): Promise<PrivateKey> => {
    const opened = unlocked.get(key) ?? (await unlockPrivateKey(key, keyPassphrase));
    unlocked.set(key, opened);
    return opened;
  };
  return {
    privateKeys: await readPrivateKeys(options.privateKeys),
    unlock,
    passphrases: (options.passphrases ?? []).map((passphrase) => passphraseText(passphrase)),
    takesPassphrase: options.takesPassphrase ?? true,
  };
}

async function* decryptMessage(source: ByteStream, name: string, opening: Opening): ByteStream {
  const outer = new ByteReader(source);
  try {
    const isArmored = isArmoredMessage(await outer.peek(64));
    const binary = isArmored ? new ByteReader(dearmor(outer.rest(), name)) : outer;
    const envelope = await readEnvelope(binary, name);
    const sessionKey = await openSessionKey(envelope, opening.keyring, name);
    yield* isOurShape(envelope, sessionKey)
      ? decryptNatively(envelope, sessionKey, name)
      : decryptByLibrary(wholePacket(envelope), { sessionKey, name, stallTimeoutMs: opening.stallTimeoutMs });
  } finally {
    await outer.close();
  }
}

/**
 * The one decision between our own stage and openpgp.js: what we write ourselves - AES-256 with an MDC around plain
 * literal data - takes the short way, at 1.5 times the speed; everything else is openpgp.js's.
 */
function isOurShape(envelope: Envelope, sessionKey: SessionKey): boolean {
  if (sessionKey.algorithm !== 'aes256') return false;
  const firstOctet = decryptHead(envelope, sessionKey)?.firstOctet ?? 0;
  const isNewLiteral = firstOctet === (0xc0 | packetTag.literal);
  const isOldLiteral = (firstOctet & 0xfc) === (0x80 | (packetTag.literal << 2));
  return isNewLiteral || isOldLiteral;
}

async function* decryptNatively({ body }: Envelope, sessionKey: SessionKey, name: string): ByteStream {
  await body.readByte(); // the version
  yield* readLiteral(decryptIntegrityProtected(body.rest(), sessionKey.data, name), name);
}

/** The data packet again, in a framing that is known to be good. */
function wholePacket({ dataTag, body }: Envelope): ByteStream {
  return writePacket(dataTag, body.rest());
}
