import type { ErrorKind } from '../core/backup-error.ts';

/** What a failure of an outside service means to the operator. */
export interface Meaning {
  readonly kind: ErrorKind;
  /** The end of `cannot ACTION: …`. */
  readonly reason: string;
  readonly hint?: string;
}
