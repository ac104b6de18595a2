import type { AuditHead } from '../core/audit-head.ts';
import type { Secret } from '../core/secret.ts';
import { checkEnd, checkLink, type AuditProblem, type ChainEvidence } from './check-chain.ts';
import type { AuditPlace } from './read-lines.ts';
import { readLinks, type FoundEntry, type Gap, type Link } from './read-links.ts';
import { toHead } from './seal-entry.ts';

export interface AuditEvidence {
  /** Audit keys; any of them may have made a mac. None: macs are not checked. */
  readonly keys?: readonly Secret[];
  /** Recorded elsewhere, such as in manifests; also of other logs. */
  readonly heads?: readonly AuditHead[];
}

export interface AuditReport {
  /** Entries that were looked at. */
  readonly entries: number;
  /** Of the first entry; `null` for a log without entries. */
  readonly chain: string | null;
  readonly firstSequence: number | null;
  /** The last entry that was looked at. */
  readonly head: AuditHead | null;
  /** Whether there are macs, and a key has proven them. */
  readonly macs: 'none' | 'unchecked' | 'checked';
  /** What writers left that were cut off in the middle of a line: not an entry, and not a sign of tampering by itself. */
  readonly torn: readonly (AuditPlace & { readonly bytes: number })[];
  /** How many of the heads are of this chain. */
  readonly headsChecked: number;
  /** Chains that heads tell of and that are not in this log: those of other hosts, or of one that was taken away. */
  readonly otherChains: readonly string[];
  /** The first thing that is wrong; what is behind it was not looked at. */
  readonly problem: AuditProblem | null;
}

/**
 * Whether a log is what was written. Every entry but the last is proven by the one behind it; with a key, nobody without
 * it can have written any; and that none is missing at the end is proven by heads that were recorded elsewhere. Needs
 * memory for one line. Errors: as `readLinks`.
 */
export async function verifyAudit(path: string, evidence: AuditEvidence = {}): Promise<AuditReport> {
  const check = new LogCheck(evidence);
  let waiting: Link | null = null;
  for await (const link of readLinks(path)) {
    if (waiting !== null) check.add(waiting, link.found);
    waiting = link;
    if (check.problem !== null) break;
  }
  if (waiting !== null && check.problem === null) check.add(waiting, null);
  return check.report();
}

class LogCheck {
  problem: AuditProblem | null = null;
  readonly #given: Required<AuditEvidence>;
  readonly #torn: (AuditPlace & { readonly bytes: number })[] = [];
  #evidence: ChainEvidence | null = null;
  #first: FoundEntry | null = null;
  #before: FoundEntry | null = null;
  #hasMac = false;
  #entries = 0;

  constructor({ keys = [], heads = [] }: AuditEvidence) {
    this.#given = { keys, heads };
  }

  add({ gap, found }: Link, after: FoundEntry | null): void {
    const expectation = { before: this.#before, hasMacBefore: this.#hasMac, after };
    const evidence = (this.#evidence ??= this.#collectEvidence(found));
    this.problem =
      found === null ? checkEnd(gap, expectation, evidence) : checkLink({ gap, found }, expectation, evidence);
    if (this.problem !== null) return;
    if (gap !== null) this.#addTorn(gap);
    if (found !== null) this.#addEntry(found);
  }

  report(): AuditReport {
    const heads = this.#evidence?.heads ?? [];
    const otherChains = this.#given.heads.filter((head) => !heads.includes(head)).map(({ chain }) => chain);
    return {
      entries: this.#entries,
      chain: this.#first?.sealed.entry.chain ?? null,
      firstSequence: this.#first?.sealed.entry.sequence ?? null,
      head: this.#before === null ? null : toHead(this.#before.sealed),
      macs: this.#describeMacs(),
      torn: this.#torn,
      headsChecked: heads.length,
      otherChains: [...new Set(otherChains)],
      problem: this.problem,
    };
  }

  #collectEvidence(found: FoundEntry | null): ChainEvidence {
    const chain = found?.sealed.entry.chain;
    return { keys: this.#given.keys, heads: this.#given.heads.filter((head) => head.chain === chain) };
  }

  #addTorn({ place, unterminated, whole, isTerminated }: Gap): void {
    this.#torn.push({ ...place, bytes: (isTerminated ? unterminated : whole).bytes });
  }

  #addEntry(found: FoundEntry): void {
    this.#entries += 1;
    this.#first ??= found;
    this.#before = found;
    this.#hasMac ||= found.sealed.entry.mac !== undefined;
  }

  #describeMacs(): AuditReport['macs'] {
    if (!this.#hasMac) return 'none';
    return this.#given.keys.length === 0 ? 'unchecked' : 'checked';
  }
}
