import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod/v3';
import { compressionSchema } from '../../src/core/compression-schema.ts';

const folder = new URL('../vectors/v1/', import.meta.url);

const aesVectorSchema = z.array(
  z.object({
    objectName: z.string(),
    backupId: z.string(),
    compression: compressionSchema,
    sha256: z.string(),
    plainBytes: z.number().int(),
    plainSha256: z.string(),
    /** Key files, and `passphrase.txt`, each of which opens it alone. */
    opensWith: z.array(z.string()),
  }),
);

export type AesVector = z.infer<typeof aesVectorSchema>[number];

/** SHA-256 of the SQL inside `small.sql.zst.aes`. */
export const smallSqlSha256 = '760f6ba71c434e9606439e1d8870aeafa1590ee99e6165adc3d0da5a302f7ae4';

export function vectorPath(name: string): string {
  return fileURLToPath(new URL(name, folder));
}

/** What `test/vectors/v1/README.md` describes. */
export async function readAesVectors(): Promise<AesVector[]> {
  return aesVectorSchema.parse(JSON.parse(await readFile(vectorPath('aes-objects.json'), 'utf8')));
}
