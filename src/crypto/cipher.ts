import type { Stage } from '../core/byte-stream.ts';

/** Which backup and object a stage works on. Bound into the ciphertext where the format allows it. */
export interface ObjectIdentity {
  readonly backupId: string;
  /** File name of the object inside its backup, e.g. `archive.dump.zst.aes`. */
  readonly objectName: string;
}

/**
 * Encrypts every object of one backup. `encrypt` gives a fresh stage per object; each object can be opened alone.
 * `description` goes into the manifest: public facts only (fingerprints, wrapped keys), never a secret.
 */
export interface Encrypter<Description> {
  /** File-name suffix of encrypted objects, without a dot: `pgp` or `aes`. */
  readonly extension: string;
  readonly description: Description;
  encrypt(identity: ObjectIdentity): Stage;
}

/**
 * Decrypts the objects of one backup. The stage releases no byte that fails its own check where the format allows that
 * (AES: every segment is authenticated first); otherwise it throws before it ends (OpenPGP: the MDC comes last), so a
 * consumer must undo what it did when the stage throws. Errors: `key` (none of the keys opens it), `integrity`
 * (tampered with, truncated, followed by other data, or another object's bytes).
 */
export interface Decrypter {
  decrypt(identity: ObjectIdentity): Stage;
}
