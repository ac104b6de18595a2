import type { LockMode, LockRequest, ObjectLock } from '../core/object-lock.ts';

/** What the requests that begin an object say of its lock. */
export interface LockInput {
  ObjectLockMode?: 'GOVERNANCE' | 'COMPLIANCE';
  ObjectLockRetainUntilDate?: Date;
  ObjectLockLegalHoldStatus?: 'ON';
}

/** What the answer to head says of it, where the bucket has locks and the credentials may know. */
export interface LockAnswer {
  readonly ObjectLockMode?: string | undefined;
  readonly ObjectLockRetainUntilDate?: Date | undefined;
  readonly ObjectLockLegalHoldStatus?: string | undefined;
}

const wireModes = { governance: 'GOVERNANCE', compliance: 'COMPLIANCE' } as const;

/** The lock of an object that is made now. Its end is a whole second, since servers cut off the rest. */
export function toObjectLock(request: LockRequest, now: Date): ObjectLock {
  const { retention, legalHold } = request;
  if (retention === undefined) return { legalHold };
  const untilMs = Math.ceil((now.getTime() + retention.durationMs) / 1000) * 1000;
  return { retention: { mode: retention.mode, until: new Date(untilMs).toISOString() }, legalHold };
}

export function lockInput(lock: ObjectLock | undefined): LockInput {
  const { retention, legalHold = false } = lock ?? {};
  return {
    ...(retention !== undefined && {
      ObjectLockMode: wireModes[retention.mode],
      ObjectLockRetainUntilDate: new Date(retention.until),
    }),
    ...(legalHold && { ObjectLockLegalHoldStatus: 'ON' as const }),
  };
}

export function lockOf(answer: LockAnswer): ObjectLock | undefined {
  const { ObjectLockRetainUntilDate: until, ObjectLockLegalHoldStatus: hold } = answer;
  const mode = modeOf(answer.ObjectLockMode);
  const hasRetention = mode !== undefined && until !== undefined;
  if (!hasRetention && hold === undefined) return undefined;
  return {
    ...(hasRetention && { retention: { mode, until: until.toISOString() } }),
    legalHold: hold === 'ON',
  };
}

function modeOf(wire: string | undefined): LockMode | undefined {
  if (wire === 'GOVERNANCE') return 'governance';
  return wire === 'COMPLIANCE' ? 'compliance' : undefined;
}

/** What `applied` lacks of the lock that was asked for: a phrase, or `null`. A longer retention is no lack. */
export function lockDifference(asked: ObjectLock, applied: ObjectLock | undefined): string | null {
  if (asked.retention !== undefined && !holdsAtLeast(asked.retention, applied?.retention)) {
    const { mode, until } = asked.retention;
    return `it was asked to lock it (${mode}) until ${until}, but ${describeRetention(applied)}`;
  }
  if (asked.legalHold && applied?.legalHold !== true) {
    return 'it was asked for a legal hold, but does not say that there is one';
  }
  return null;
}

type Retention = NonNullable<ObjectLock['retention']>;

function holdsAtLeast(asked: Retention, applied: Retention | undefined): boolean {
  return applied?.mode === asked.mode && Date.parse(applied.until) >= Date.parse(asked.until);
}

function describeRetention(applied: ObjectLock | undefined): string {
  if (applied?.retention === undefined) return 'does not say that it is locked';
  return `locked it (${applied.retention.mode}) until ${applied.retention.until}`;
}
