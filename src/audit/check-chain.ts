import type { AuditHead } from '../core/audit-head.ts';
import type { Secret } from '../core/secret.ts';
import type { TornBytes } from './audit-event.ts';
import type { AuditPlace } from './read-lines.ts';
import type { FoundEntry, Gap, Link } from './read-links.ts';
import { isEntryMac, noPrevious } from './seal-entry.ts';

/**
 * `altered`: not what was written. `missing`: entries are not where they belong. `misplaced`: an entry stands where
 * another belongs, so it was inserted or moved. `truncated`: entries at the end are gone. `unauthenticated`: the mac is
 * wrong, or missing where there has to be one.
 */
export type AuditProblemKind = 'altered' | 'missing' | 'misplaced' | 'truncated' | 'unauthenticated';

/** The first thing that is wrong. */
export interface AuditProblem extends AuditPlace {
  readonly kind: AuditProblemKind;
  /** Of the entry that stands there, or has to. */
  readonly sequence: number;
  /** One sentence without its dot, for people. */
  readonly reason: string;
}

export interface ChainEvidence {
  /** Audit keys; any of them may have made a mac. None: macs are not checked. */
  readonly keys: readonly Secret[];
  /** Recorded elsewhere, of the chain that the log holds. */
  readonly heads: readonly AuditHead[];
}

/** What one link has to follow. */
interface Expectation {
  readonly before: FoundEntry | null;
  readonly hasMacBefore: boolean;
}

type Finding = Omit<AuditProblem, 'file' | 'line'> & { readonly place: AuditPlace };

/**
 * What is wrong with a link; `null` for nothing. `after` is the entry behind it, which tells whether the link or the one
 * before it was changed.
 */
export function checkLink(
  { gap, found }: Link & { readonly found: FoundEntry },
  expectation: Expectation & { readonly after: FoundEntry | null },
  evidence: ChainEvidence,
): AuditProblem | null {
  const finding =
    checkGap(gap, found, nextSequence(expectation.before)) ??
    checkMac(found, expectation.hasMacBefore, evidence.keys) ??
    (expectation.before === null
      ? checkFirst(found, evidence.heads)
      : checkFollows(found, expectation.before, expectation.after)) ??
    checkHeads(found, evidence.heads);
  return toProblem(finding);
}

/** What is wrong with the end of a log, behind its last entry. */
export function checkEnd(
  gap: Gap | null,
  { before, hasMacBefore }: Expectation,
  { keys, heads }: ChainEvidence,
): AuditProblem | null {
  const sequence = nextSequence(before);
  if (gap?.isTerminated === true) {
    return toProblem({ kind: 'altered', place: gap.place, sequence, reason: describeGap(gap) });
  }
  if (before === null) return null;
  const { place } = before;
  const recorded = Math.max(...heads.map((head) => head.sequence), 0);
  if (recorded >= sequence) {
    const reason = `a head recorded elsewhere proves that the log went on to entry ${recorded}`;
    return toProblem({ kind: 'truncated', place, sequence, reason });
  }
  if (keys.length === 0 || hasMacBefore) return null;
  const reason = 'no entry has a mac, and a key was given';
  return toProblem({ kind: 'unauthenticated', place, sequence: sequence - 1, reason });
}

/** What a writer left that was cut off; the entry behind it says so. Anything else has no business there. */
function checkGap(gap: Gap | null, { place, sealed }: FoundEntry, expected: number): Finding | null {
  const { torn, sequence } = sealed.entry;
  if (gap === null) {
    if (torn === undefined) return null;
    return {
      kind: 'missing',
      place,
      sequence,
      reason: `the ${torn.bytes} torn bytes that it tells of are not before it`,
    };
  }
  if (torn !== undefined && isSame(torn, gap.unterminated)) return null;
  const isRecorded = torn !== undefined && isSame(torn, gap.whole);
  const reason = isRecorded ? 'the line was no entry when the next one was written' : describeGap(gap);
  return { kind: 'altered', place: gap.place, sequence: expected, reason };
}

function describeGap({ isNewer }: Gap): string {
  return isNewer
    ? 'the line says that it is an entry of a newer version, which only a newer librelog-backup can check'
    : 'the line is not an entry';
}

function isSame(one: TornBytes, other: TornBytes): boolean {
  return one.bytes === other.bytes && one.sha256 === other.sha256;
}

/** Entries before the first mac are vouched for by it, through the chain. */
function checkMac({ place, sealed }: FoundEntry, hasMacBefore: boolean, keys: readonly Secret[]): Finding | null {
  const { entry } = sealed;
  const found = { kind: 'unauthenticated', place, sequence: entry.sequence } as const;
  if (entry.mac === undefined) return hasMacBefore ? { ...found, reason: 'its mac is missing' } : null;
  if (keys.length === 0 || keys.some((key) => isEntryMac(entry, key))) return null;
  return { ...found, reason: 'its mac is wrong: it was altered, or made with another key' };
}

/** A log may begin later than its chain when a head tells what was before. */
function checkFirst({ place, sealed }: FoundEntry, heads: readonly AuditHead[]): Finding | null {
  const { sequence, previous } = sealed.entry;
  if (sequence === 1) {
    if (previous === noPrevious) return null;
    return { kind: 'altered', place, sequence, reason: 'it is the first entry, and names one before it' };
  }
  if (heads.some((head) => head.sequence === sequence - 1 && head.hash === previous)) return null;
  return { kind: 'missing', place, sequence, reason: `entries 1 to ${sequence - 1} are missing before it` };
}

function checkFollows(found: FoundEntry, before: FoundEntry, after: FoundEntry | null): Finding | null {
  const { place, sealed } = found;
  const { sequence, chain } = sealed.entry;
  const expected = nextSequence(before);
  if (chain !== before.sealed.entry.chain) {
    return { kind: 'misplaced', place, sequence, reason: `it belongs to another chain, ${chain}` };
  }
  if (sequence === expected - 1 && after !== null && isFollowedBy(found, after)) {
    const reason = `it stands where another entry ${sequence} belongs`;
    return { kind: 'misplaced', place: before.place, sequence, reason };
  }
  if (sequence !== expected) return checkSequence(found, expected, after);
  if (sealed.entry.previous === before.sealed.hash) return null;
  if (after !== null && isFollowedBy(found, after)) {
    const reason = `its hash is not the one that entry ${sequence} tells`;
    return { kind: 'altered', place: before.place, sequence: expected - 1, reason };
  }
  return { kind: 'altered', place, sequence, reason: `it does not tell the hash of entry ${expected - 1}` };
}

function checkSequence({ place, sealed }: FoundEntry, expected: number, after: FoundEntry | null): Finding {
  const { sequence } = sealed.entry;
  const afterSequence = after?.sealed.entry.sequence;
  if (afterSequence === expected + 1) {
    return { kind: 'altered', place, sequence: expected, reason: `it says that it is entry ${sequence}` };
  }
  if (sequence < expected || afterSequence === expected) {
    return { kind: 'misplaced', place, sequence, reason: `it stands where entry ${expected} belongs` };
  }
  const missing = sequence - 1 === expected ? `entry ${expected} is` : `entries ${expected} to ${sequence - 1} are`;
  return { kind: 'missing', place, sequence: expected, reason: `${missing} missing here` };
}

function isFollowedBy({ sealed }: FoundEntry, after: FoundEntry): boolean {
  return after.sealed.entry.previous === sealed.hash;
}

function checkHeads({ place, sealed }: FoundEntry, heads: readonly AuditHead[]): Finding | null {
  const { sequence } = sealed.entry;
  const isOther = heads.some((head) => head.sequence === sequence && head.hash !== sealed.hash);
  if (!isOther) return null;
  const reason = 'it is not the one that a head recorded elsewhere tells: it or one before it was replaced';
  return { kind: 'altered', place, sequence, reason };
}

function nextSequence(before: FoundEntry | null): number {
  return (before?.sealed.entry.sequence ?? 0) + 1;
}

function toProblem(finding: Finding | null): AuditProblem | null {
  if (finding === null) return null;
  const { place, ...rest } = finding;
  return { ...rest, ...place };
}
