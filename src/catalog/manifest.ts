import { z } from 'zod/v3';
import { auditHeadSchema } from '../core/audit-head.ts';
import { BackupError } from '../core/backup-error.ts';
import { compressionSchema } from '../core/compression-schema.ts';
import { objectLockSchema } from '../core/object-lock.ts';
import { serverEncryptionSchema } from '../core/server-encryption.ts';
import { wrappedKeySchema } from '../core/wrapped-key.ts';

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);
const instant = z.string().datetime();
const byteCount = z.number().int().nonnegative();

const encryptionSchema = z.discriminatedUnion('method', [
  z
    .object({
      method: z.literal('openpgp'),
      /** `rfc4880`: SEIPDv1, which gpg 2.2 opens. */
      profile: z.literal('rfc4880'),
      /** Fingerprints of the certificates' primary keys, upper-case hex. */
      recipients: z.array(z.string().regex(/^[0-9A-F]{40,64}$/)),
      /** Whether a passphrase opens the backup as well. */
      passphrase: z.boolean(),
    })
    .strict(),
  z
    .object({
      method: z.literal('aes-256-gcm-hkdf-1mb'),
      wrappedKeys: z.array(wrappedKeySchema).min(1),
    })
    .strict(),
]);

/**
 * What an object is for. One stream: `archive`, the whole dump. Several: `schema` (custom archive of everything but
 * rows), `data` (script with rows of tables), `remainder` (custom archive of all other rows, sequences and large objects)
 * and `contents` (which table is in which object).
 */
const objectRoles = ['archive', 'schema', 'data', 'remainder', 'contents'] as const;

const objectSchema = z
  .object({
    /** File name below the backup's folder. */
    name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
    role: z.enum(objectRoles),
    /** Bytes that the client program wrote, before compression and encryption. */
    plainBytes: byteCount,
    /** Bytes in the store. */
    storedBytes: byteCount,
    /** Digest of the stored bytes. */
    sha256: sha256Hex,
    /** The store's version id, where it keeps versions. */
    version: z.string().optional(),
    /** How the store said it keeps the object encrypted, after the upload. */
    serverEncryption: serverEncryptionSchema.optional(),
    /** What the store said keeps the object from being deleted, after the upload. */
    lock: objectLockSchema.optional(),
  })
  .strict();

/**
 * Proves that whoever wrote the manifest held the backup's key: HMAC-SHA-256 under a key derived from the data key
 * (AES), or a detached OpenPGP signature. Both over the canonical JSON (RFC 8785) of the manifest without `seal`.
 */
const sealSchema = z.discriminatedUnion('method', [
  z.object({ method: z.literal('hmac-sha-256'), value: z.string().base64() }).strict(),
  z
    .object({
      method: z.literal('openpgp-signature'),
      /** Fingerprint of the signer's primary key. */
      signer: z.string().regex(/^[0-9A-F]{40,64}$/),
      /** Armored detached signature. */
      value: z.string(),
    })
    .strict(),
]);

/** Names what the file is; the version decides how the rest is read. */
const manifestFormat = 'librelog-backup-manifest';

export const manifestSchema = z
  .object({
    format: z.literal(manifestFormat),
    version: z.literal(1),
    id: z.string().regex(/^\d{8}T\d{6}Z-[0-9a-f]{6}$/),
    label: z.string().min(1),
    /** When pg_dump started, by the clock of the backup host. */
    startedAt: instant,
    finishedAt: instant,
    /** Which manifest of the backup this is, as its name says too; the first one does not have it. */
    revision: z.number().int().min(2).optional(),
    /** When the data key was wrapped anew; only in later revisions, in which nothing else differs. */
    rewrappedAt: instant.optional(),
    tool: z.object({ name: z.literal('librelog-backup'), version: z.string() }).strict(),
    source: z
      .object({
        serverVersion: z.string(),
        database: z.string(),
        encoding: z.string(),
        collate: z.string(),
        ctype: z.string(),
        /** Who sorts and compares instead of the C library, and by which locale and rules. */
        localeProvider: z.enum(['icu', 'builtin']).optional(),
        locale: z.string().optional(),
        icuRules: z.string().optional(),
        /** `pg_database_size` before the dump. */
        sizeBytes: byteCount,
        inRecovery: z.boolean(),
      })
      .strict(),
    dump: z
      .object({
        format: z.enum(['custom', 'plain']),
        clientVersion: z.string(),
        /** Names of the pg_dump options that chose what was dumped, without their values: table names are data too. */
        options: z.array(z.string()),
      })
      .strict(),
    compression: compressionSchema,
    encryption: encryptionSchema,
    objects: z
      .array(objectSchema)
      .min(1)
      .refine(hasUniqueNames, 'two objects have one name')
      .refine(isWhole, 'it is neither one archive nor a schema, its contents and a remainder'),
    /** Last entry of the audit log before the manifest was committed: proof, later, that the log was not cut before it. */
    auditHead: auditHeadSchema.optional(),
    /** `null`: OpenPGP without a signing key; anybody who can write to the store could have made it. */
    seal: sealSchema.nullable(),
  })
  .strict();

function hasUniqueNames(objects: readonly { readonly name: string }[]): boolean {
  return new Set(objects.map(({ name }) => name)).size === objects.length;
}

/** Either one stream or several: an object too few would be rows too few. */
function isWhole(objects: readonly { readonly role: ObjectRole }[]): boolean {
  const count = (role: ObjectRole) => objects.filter((object) => object.role === role).length;
  if (count('archive') > 0) return objects.length === 1;
  return count('schema') === 1 && count('remainder') === 1 && count('contents') === 1;
}

export type ObjectRole = (typeof objectRoles)[number];
export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestObject = Manifest['objects'][number];
export type EncryptionDescription = Manifest['encryption'];
export type Seal = z.infer<typeof sealSchema>;

/**
 * The manifest in `bytes`, or `integrity` for anything else: not JSON, another format, a version this program does not
 * know, a field that is missing, unknown or out of range. `name` is the object's key, for the message.
 */
export function parseManifest(bytes: Uint8Array, name: string): Manifest {
  const json = parseJson(bytes, name);
  const version = z.object({ format: z.literal(manifestFormat), version: z.number().int() }).safeParse(json);
  if (version.success && version.data.version > 1) {
    throw new BackupError('integrity', `manifest "${name}" has version ${version.data.version}`, {
      hint: 'Use a newer librelog-backup to read this backup.',
    });
  }
  const manifest = manifestSchema.safeParse(json);
  if (!manifest.success) {
    throw new BackupError('integrity', `manifest "${name}" is damaged: ${describeProblems(manifest.error)}`);
  }
  return manifest.data;
}

function parseJson(bytes: Uint8Array, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new BackupError('integrity', `manifest "${name}" is not JSON`, { cause: error });
  }
}

function describeProblems(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join('.') || 'document'}: ${issue.message}`).join('; ');
}
