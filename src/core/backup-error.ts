/**
 * What went wrong, from the operator's point of view. Every failure the tool reports has exactly one kind;
 * the kind alone decides the exit code and whether trying again can help.
 */
export type ErrorKind =
  | 'usage'
  | 'config'
  | 'postgres'
  | 'storage'
  | 'notFound'
  | 'access'
  | 'key'
  | 'integrity'
  | 'conflict'
  | 'partial'
  | 'policy'
  | 'interrupted'
  | 'terminated'
  | 'bug';

interface KindTraits {
  readonly exitCode: number;
  readonly retryable: boolean;
  /** One line for the help text and the documentation. */
  readonly meaning: string;
}

/** The one table from error kind to exit code. Exit codes are stable: scripts depend on them. */
export const errorKinds = {
  usage: { exitCode: 2, retryable: false, meaning: 'wrong command line' },
  config: { exitCode: 3, retryable: false, meaning: 'wrong configuration' },
  postgres: { exitCode: 10, retryable: false, meaning: 'PostgreSQL or one of its client tools failed' },
  storage: { exitCode: 20, retryable: true, meaning: 'the store failed' },
  notFound: { exitCode: 21, retryable: false, meaning: 'backup, object or store not found' },
  access: { exitCode: 22, retryable: false, meaning: 'access to the store denied' },
  key: { exitCode: 30, retryable: false, meaning: 'a key is missing, unusable or the wrong one' },
  integrity: { exitCode: 40, retryable: false, meaning: 'data tampered with, truncated or corrupt' },
  conflict: { exitCode: 50, retryable: true, meaning: 'locked, or already there' },
  partial: { exitCode: 60, retryable: false, meaning: 'some databases, stores or backups failed, others succeeded' },
  policy: { exitCode: 65, retryable: false, meaning: 'a policy is violated' },
  interrupted: { exitCode: 130, retryable: false, meaning: 'interrupted by SIGINT' },
  terminated: { exitCode: 143, retryable: false, meaning: 'ended by SIGTERM' },
  bug: { exitCode: 70, retryable: false, meaning: 'a bug in this program' },
} as const satisfies Record<ErrorKind, KindTraits>;

export interface BackupErrorOptions {
  /** What the operator can do: one imperative sentence, capitalised, with a full stop. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/**
 * The only error class that leaves a module on purpose. Message: lower-case, no final dot, names the object
 * (`cannot read manifest "…"`); never contains a secret. Foreign errors are translated once, where they occur,
 * and kept as `cause`.
 */
export class BackupError extends Error {
  override readonly name = 'BackupError';
  readonly kind: ErrorKind;
  readonly hint: string | undefined;

  constructor(kind: ErrorKind, message: string, options: BackupErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint;
  }
}

/** The text of anything thrown, without a stack. */
export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `error` itself when it is ours, otherwise a `BackupError` of the given kind with `error` as its cause. */
export function toBackupError(error: unknown, kind: ErrorKind, message: string): BackupError {
  if (error instanceof BackupError) return error;
  return new BackupError(kind, `${message}: ${describeError(error)}`, { cause: error });
}
