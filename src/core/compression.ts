import { z } from 'zod';

/** How the dump was compressed before it was encrypted; `extension` is the suffix of the object's name, with its dot. */
export const compressionSchema = z.discriminatedUnion('method', [
  z.strictObject({ method: z.literal('zstd'), level: z.int(), frameBytes: z.int().positive() }),
  z.strictObject({ method: z.literal('gzip'), level: z.int() }),
  z.strictObject({ method: z.literal('none') }),
]);

export type Compression = Readonly<z.infer<typeof compressionSchema>>;
export type CompressionMethod = Compression['method'];

export const compressionExtensions: Readonly<Record<CompressionMethod, string>> = {
  zstd: '.zst',
  gzip: '.gz',
  none: '',
};
