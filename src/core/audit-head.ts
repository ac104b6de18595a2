import { z } from 'zod/v3';

/** A place in the chain of an audit log: kept elsewhere, it proves that nothing up to it was changed or cut off. */
export const auditHeadSchema = z
  .object({
    /** Random name of the chain. */
    chain: z.string().regex(/^[0-9a-f]{32}$/),
    /** Of the entry, from 1. */
    sequence: z.number().int().positive(),
    /** SHA-256, hex, of the entry. */
    hash: z.string().regex(/^[0-9a-f]{64}$/),
  })
  .strict();

export type AuditHead = z.infer<typeof auditHeadSchema>;
