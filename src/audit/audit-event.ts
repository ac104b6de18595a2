import { z } from 'zod/v3';
import { auditActions, auditOutcomes } from './audit-actions.ts';

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);
const text = z.string().max(4096);
const shortText = z.string().max(512);

const eventFields = {
  action: z.enum(auditActions),
  outcome: z.enum(auditOutcomes),
  /** Of a failure. */
  error: z.object({ kind: shortText, message: text }).strict().optional(),
  durationMs: z.number().int().nonnegative().optional(),
  backup: z
    .object({
      id: shortText.optional(),
      label: shortText.optional(),
      /** URL of the store. */
      store: text.optional(),
    })
    .strict()
    .optional(),
  key: z
    .object({
      /** Secret reference or wrapper reference as the user wrote it. */
      source: text,
      id: shortText.optional(),
      version: shortText.optional(),
      /** What it was wanted for: `wrap`, `unwrap`, `sign`, `passphrase`, … */
      purpose: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/),
    })
    .strict()
    .optional(),
};

const actorSchema = z
  .object({
    /** Name of the operating system's user, `uid:N` where it has none. */
    user: shortText,
    /** Who became that user by sudo. */
    sudoUser: shortText.optional(),
    host: shortText,
    pid: z.number().int().nonnegative(),
    /** Name of the Kubernetes pod. */
    pod: shortText.optional(),
    /** Variables in which a CI system or systemd names the job. */
    job: z.record(z.string().regex(/^[A-Z][A-Z0-9_]*$/), shortText).optional(),
  })
  .strict();

const eventSchema = z.object(eventFields).strict();

const entrySchema = z
  .object({
    version: z.literal(1),
    /** Random name of the chain that the entry belongs to. */
    chain: z.string().regex(/^[0-9a-f]{32}$/),
    /** 1 for the first entry of a chain, and one more for each. */
    sequence: z.number().int().positive(),
    /** When the event ended, by the clock of the host. */
    time: z.string().datetime(),
    /** Hash of the entry before; 64 zeros in the first one. */
    previous: sha256Hex,
    actor: actorSchema,
    ...eventFields,
    /** Bytes between the entry before and this one which are no entry: what a writer left that was cut off. */
    torn: z.object({ bytes: z.number().int().positive(), sha256: sha256Hex }).strict().optional(),
    /** HMAC-SHA-256, hex, under the audit key. */
    mac: sha256Hex.optional(),
  })
  .strict();

/** What the caller knows of an event; never a secret: the value of a key or passphrase has no place in it. */
export type AuditEvent = z.infer<typeof eventSchema>;
export type AuditActor = z.infer<typeof actorSchema>;
/** One line of the log. Normative: docs/audit.md. */
export type AuditEntry = z.infer<typeof entrySchema>;
export type TornBytes = NonNullable<AuditEntry['torn']>;

export { entrySchema as auditEntrySchema, eventSchema as auditEventSchema };
