/** What is recorded. `key-access`: a key or secret was fetched or used; the others are what was done with a backup or key. */
export const auditActions = [
  'key-access',
  'encrypt',
  'decrypt',
  'restore',
  'verify',
  'delete',
  'prune',
  'rewrap',
  'generate',
  'rotate',
  'export',
  'shred',
] as const;

export const auditOutcomes = ['success', 'failure'] as const;

export type AuditAction = (typeof auditActions)[number];
export type AuditOutcome = (typeof auditOutcomes)[number];
