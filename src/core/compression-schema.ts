import { z } from 'zod/v3';
import type { Compression } from './compression.ts';

/** Checks what a manifest or a header says of compression. */
export const compressionSchema = z.discriminatedUnion('method', [
  z.object({ method: z.literal('zstd'), level: z.number().int(), frameBytes: z.number().int().positive() }).strict(),
  z.object({ method: z.literal('gzip'), level: z.number().int() }).strict(),
  z.object({ method: z.literal('none') }).strict(),
]) satisfies z.ZodType<Compression>;
