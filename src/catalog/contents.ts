import { z } from 'zod/v3';
import { BackupError } from '../core/backup-error.ts';

const contentsFormat = 'librelog-backup-contents';
const count = z.number().int().nonnegative();

const contentsSchema = z
  .object({
    format: z.literal(contentsFormat),
    version: z.literal(1),
    /** Tables whose rows are in `data` objects; those of all others are in the remainder. */
    tables: z.array(
      z
        .object({
          schema: z.string(),
          name: z.string(),
          /** What the table and its TOAST table took on the server. */
          sizeBytes: count,
          /** What its indexes took there. */
          indexBytes: count.default(0),
          parts: z
            .array(
              z
                .object({
                  /** Name of the object. */
                  object: z.string(),
                  /** Rows of the table in it; `null`: the server did not count. */
                  rows: count.nullable(),
                })
                .strict(),
            )
            .min(1),
        })
        .strict(),
    ),
  })
  .strict();

/** Which table is in which object of a backup of several streams. Names are data: it is stored encrypted. */
export type Contents = z.infer<typeof contentsSchema>;

export function formatContents(tables: Contents['tables']): string {
  return `${JSON.stringify({ format: contentsFormat, version: 1, tables } satisfies Contents)}\n`;
}

/** The contents in `bytes`, or `integrity` for anything else. `name` is the object's key, for the message. */
export function parseContents(bytes: Uint8Array, name: string): Contents {
  try {
    return contentsSchema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch (error) {
    throw new BackupError('integrity', `object "${name}" is not the table of contents of a backup`, { cause: error });
  }
}
