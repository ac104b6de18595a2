// The v3 entry of zod 4, which loads faster: see wrapped-key.ts.
import { z } from 'zod/v3';

/**
 * How a store says that it keeps an object encrypted at rest, on top of our own encryption. Public: it goes into the
 * manifest. Names are the vendors' own:
 *
 * - Amazon S3 and compatible servers: `sse-s3`, `sse-kms`, `dsse-kms`, `sse-c` ("Protecting data with server-side
 *   encryption", S3 user guide). `keyDigest` is the MD5 of the customer's key in base64, as the server answers it.
 * - Azure Blob Storage: `azure-managed` (the account's key), `azure-scope` (encryption scope), `azure-cpk`
 *   (customer-provided key). `keyDigest` is the SHA-256 of the key in base64.
 * - Google Cloud Storage: `gcs-managed` (Google's key), `gcs-cmek` (Cloud KMS), `gcs-csek` (customer-supplied key).
 *   `keyDigest` is the SHA-256 of the key in base64.
 *
 * A store that keeps objects as they come (a folder) says nothing.
 */
export const serverEncryptionSchema = z.discriminatedUnion('method', [
  z.object({ method: z.literal('sse-s3') }).strict(),
  z
    .object({
      method: z.literal('sse-kms'),
      /** As the server names it; nothing where it does not say. */
      keyId: z.string().optional(),
      bucketKey: z.boolean().optional(),
    })
    .strict(),
  z.object({ method: z.literal('dsse-kms'), keyId: z.string().optional() }).strict(),
  z.object({ method: z.literal('sse-c'), keyDigest: z.string() }).strict(),
  z.object({ method: z.literal('azure-managed') }).strict(),
  z.object({ method: z.literal('azure-scope'), scope: z.string() }).strict(),
  z.object({ method: z.literal('azure-cpk'), keyDigest: z.string() }).strict(),
  z.object({ method: z.literal('gcs-managed') }).strict(),
  z.object({ method: z.literal('gcs-cmek'), keyName: z.string() }).strict(),
  z.object({ method: z.literal('gcs-csek'), keyDigest: z.string() }).strict(),
]);

export type ServerEncryption = Readonly<z.infer<typeof serverEncryptionSchema>>;
